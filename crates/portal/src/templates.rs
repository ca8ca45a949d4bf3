//! Renders pages and mails from templates. Tenants can have custom mail templates: these are checked when they are
//! set, and if one fails later, the built-in template is used.

use directory::{DirectoryError, TenantSettings};
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;
use std::sync::OnceLock;

/// Built-in templates by name. Those that end in `.html` escape values.
const BUILT_IN: &[(&str, &str)] = &[
    ("base.html", include_str!("../templates/base.html")),
    ("sign_in.html", include_str!("../templates/sign_in.html")),
    ("choose_password.html", include_str!("../templates/choose_password.html")),
    ("change_password.html", include_str!("../templates/change_password.html")),
    ("account.html", include_str!("../templates/account.html")),
    ("forgot_password.html", include_str!("../templates/forgot_password.html")),
    ("tenant_picker.html", include_str!("../templates/tenant_picker.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("mail.html", include_str!("../templates/mail.html")),
    ("invitation.subject.txt", include_str!("../templates/invitation.subject.txt")),
    ("invitation.txt", include_str!("../templates/invitation.txt")),
    ("invitation.html", include_str!("../templates/invitation.html")),
    ("reset.subject.txt", include_str!("../templates/reset.subject.txt")),
    ("reset.txt", include_str!("../templates/reset.txt")),
    ("reset.html", include_str!("../templates/reset.html")),
];

/// The templates that tenants can customize, and whether they must contain the link.
const CUSTOMIZABLE: [(&str, bool); 6] = [
    ("invitation.subject.txt", false),
    ("invitation.txt", true),
    ("invitation.html", true),
    ("reset.subject.txt", false),
    ("reset.txt", true),
    ("reset.html", true),
];

/// The instruction limit of a rendering; built-in templates need a few hundred.
const FUEL: u64 = 50_000;

/// Why a custom template is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("unknown template; the templates are {}", .known.join(", "))]
    Unknown { known: Vec<&'static str> },
    /// Contains the line.
    #[error("invalid template: {0}")]
    Invalid(String),
    #[error("the template must contain the link: {{{{ link }}}}")]
    MissingLink,
}

/// The variables of mail templates.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MailContext {
    pub(crate) tenant: String,
    /// The user's display name, full name or email.
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) link: String,
    /// The lifetime of the link, such as `7 days`, and its end.
    pub(crate) lasts: String,
    pub(crate) until: String,
}

/// The templates, parsed once.
fn environment() -> Result<&'static Environment<'static>, DirectoryError> {
    static READ: OnceLock<Result<Environment<'static>, String>> = OnceLock::new();
    let read = READ.get_or_init(|| load().map_err(|error| format!("{error:#}")));
    read.as_ref().map_err(|text| DirectoryError::Internal(text.clone()))
}

fn load() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.remove_global("debug");
    for (name, text) in BUILT_IN {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

/// Renders a page or a part of a mail.
pub(crate) fn render<T: Serialize>(name: &str, context: &T) -> Result<String, DirectoryError> {
    let broken = |error: minijinja::Error| DirectoryError::Internal(format!("{name}: {error}"));
    environment()?.get_template(name).map_err(broken)?.render(Serde(context)).map_err(broken)
}

/// Renders a part of a mail with the tenant's custom template, if there is one and it works.
pub(crate) fn render_mail(
    name: &str,
    settings: &TenantSettings,
    context: &MailContext,
) -> Result<String, DirectoryError> {
    if let Some(custom) = settings.templates.get(name) {
        match environment()?.render_named_str(name, custom, Serde(context)) {
            Ok(text) => return Ok(text),
            Err(error) => {
                tracing::error!(template = name, %error, "a custom mail template failed; the built-in template is used");
            }
        }
    }
    render(name, context)
}

/// Checks a custom template by rendering it with sample data.
pub fn check_template(name: &str, text: &str) -> Result<(), TemplateError> {
    let names = || CUSTOMIZABLE.iter().map(|(name, _)| *name).collect();
    let found = CUSTOMIZABLE.iter().find(|(known, _)| *known == name);
    let (_, needs_link) = found.ok_or_else(|| TemplateError::Unknown { known: names() })?;
    let link = "https://people.example.com/t/1/invitation/SAMPLE";
    let sample = MailContext {
        tenant: "Example Ltd".into(),
        name: "Ada Lovelace".into(),
        email: "ada@example.com".into(),
        link: link.into(),
        lasts: "7 days".into(),
        until: "1 January 2030, 12:00 UTC".into(),
    };
    let environment = environment().map_err(|refusal| TemplateError::Invalid(format!("{refusal:?}")))?;
    let rendered = environment.render_named_str(name, text, Serde(&sample)).map_err(|error| {
        let line = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
        let what = match error.kind() {
            ErrorKind::UndefinedError => "undefined variable".to_owned(),
            kind => kind.to_string(),
        };
        TemplateError::Invalid(format!("{what}{line}"))
    })?;
    let has_link = rendered.replace("&#x2f;", "/").contains(link);
    if *needs_link && !has_link { Err(TemplateError::MissingLink) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_ones_can_be_a_tenants_own() {
        for (name, text) in BUILT_IN.iter().filter(|(name, _)| CUSTOMIZABLE.iter().any(|(own, _)| own == name)) {
            assert_eq!(check_template(name, text), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_would_not_work_is_refused_when_it_is_set() {
        let check = |text| check_template("invitation.txt", text);
        assert_eq!(check("Hello {{ name }}"), Err(TemplateError::MissingLink));
        assert!(
            matches!(check("{{ link }} {{ nobody }}"), Err(TemplateError::Invalid(text)) if text.contains("line 1"))
        );
        assert!(matches!(check("{{ link"), Err(TemplateError::Invalid(_))));
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ link }}{% endfor %}{% endfor %}";
        assert!(matches!(check(endless), Err(TemplateError::Invalid(_))));
        assert!(matches!(check_template("account.html", "x"), Err(TemplateError::Unknown { .. })));
    }
}
