//! Finds out what a target can do: reads its discovery documents, and tries it with an account that is deleted again.

use crate::account_rules::AccountRules;
use crate::sender::{Exchange, Outcome, Sender};
use dialects::kit::{Account, Document, Match, Node, Operation, OutgoingUser, Verdict, parse_json};
use directory::{Labels, MatchKey, Name, PushFault, Status, TargetCapabilities, Time, TypedValue, User, UserId};
use std::time::Duration;
use uuid::Uuid;

/// What was found out.
pub struct Probe {
    pub capabilities: TargetCapabilities,
    /// Why the target cannot be used.
    pub problem: Option<String>,
}

/// How often a new account is looked for, and how long between two searches: targets can be eventually consistent.
const SEARCHES: u32 = 5;
const SEARCH_DELAY: Duration = Duration::from_secs(1);
const LOWEST_ROLE: u32 = 1;

/// Tests a target. With `read_only`, nothing is written, and what needs writing is assumed.
pub async fn probe(sender: &Sender, read_only: bool, now: Time) -> Probe {
    let mut test = Test { sender, capabilities: sender.dialect().default_capabilities() };
    test.capabilities.tested = now;
    let problem = test.run(read_only).await.err();
    Probe { capabilities: test.capabilities, problem }
}

struct Test<'s> {
    sender: &'s Sender,
    capabilities: TargetCapabilities,
}

impl Test<'_> {
    async fn run(&mut self, read_only: bool) -> Result<(), String> {
        let listed = self.send(&Operation::List { offset: 0, limit: 1 }).await;
        match listed.outcome {
            Outcome::Answered(Verdict::Found(page)) => {
                self.capabilities.creates_only = false;
                self.capabilities.lists_all = true;
                let total = page.total.map_or("an unknown number of".into(), |total| total.to_string());
                self.note(format!("list: {total} accounts"));
            }
            Outcome::Answered(Verdict::Unsupported) => {
                self.capabilities.lists_all = false;
                self.note("list: not supported".into());
            }
            _ => return Err(describe(&listed)),
        }
        self.discover().await;
        if read_only {
            self.note("nothing was written; what needs writing is assumed".into());
            return Ok(());
        }
        if self.capabilities.creates_only {
            self.note("create: not tested, since the account could not be deleted again".into());
            return Ok(());
        }
        let mut user = test_user(UserId(Uuid::from_u128(random())));
        if self.document(&user, true).is_err() {
            // Some APIs require a role.
            user.role = Some(LOWEST_ROLE);
        }
        let document = self.document(&user, true)?;
        let created = self.send(&Operation::Create(&document)).await;
        let Outcome::Answered(Verdict::Done(Some(account))) = created.outcome else {
            let by_hand = match &created.outcome {
                outcome if outcome.may_be_carried_out() => {
                    format!(" (if the target has the account {}, delete it by hand)", user.user_name)
                }
                _ => String::new(),
            };
            return Err(format!("an account for the test cannot be created: {}{by_hand}", describe(&created)));
        };
        self.note("create: done".into());
        let tested = self.try_account(&user, &document, &account).await;
        let deleted = self.send(&Operation::Delete { id: &account.id }).await;
        self.capabilities.deletes = matches!(deleted.outcome, Outcome::Answered(Verdict::Done(_) | Verdict::NotFound));
        if self.capabilities.deletes {
            let action = if self.sender.dialect().deletes_accounts() { "delete" } else { "archive" };
            self.note(format!("{action}: done"));
        } else {
            self.note(format!("delete: {} (delete the account {} by hand)", describe(&deleted), user.user_name));
        }
        tested
    }

    async fn try_account(&mut self, user: &User, document: &Document, account: &Account) -> Result<(), String> {
        self.try_searches(document).await?;
        self.try_change(user, document, account).await?;
        self.try_duplicates(user).await?;
        let inactive = self.document(user, false)?;
        if inactive == *document {
            self.note("deactivate: not possible in this API".into());
            return Ok(());
        }
        let changed = self.update(&inactive, document, account).await;
        let shown = self.read(&account.id).await;
        self.capabilities.deactivates = changed.is_ok() && shown.is_none_or(|it| it.is_active != Some(true));
        self.note(format!("deactivate: {}", changed.err().unwrap_or_else(|| "done".into())));
        Ok(())
    }

    /// Reads the discovery documents (RFC 7644 section 4).
    async fn discover(&mut self) {
        for question in self.sender.dialect().discovery() {
            let answer = self.sender.get(question.path).await;
            let node: Option<Node> = match &answer {
                Ok(response) if response.status().is_success() => {
                    std::str::from_utf8(response.body()).ok().and_then(parse_json)
                }
                _ => None,
            };
            match node {
                Some(node) => {
                    (question.apply)(&node, &mut self.capabilities);
                    self.note(format!("{}: read", question.path));
                }
                None => self.note(format!("{}: not available", question.path)),
            }
        }
    }

    async fn try_searches(&mut self, document: &Document) -> Result<(), String> {
        let mut finds_by = Vec::new();
        let keys = self.sender.dialect().search_keys();
        for (key, value) in document.keys.iter().filter(|(key, _)| keys.contains(key)) {
            let mut found = "finds nothing";
            for attempt in 0..SEARCHES {
                if attempt > 0 {
                    tokio::time::sleep(SEARCH_DELAY).await;
                }
                let searched = self.send(&Operation::Find { key: *key, value }).await;
                found = match &searched.outcome {
                    Outcome::Answered(Verdict::Found(page)) => match page.matching(*key, value) {
                        Match::One(_) => "finds the account",
                        Match::None => continue,
                        Match::Several => "finds several accounts",
                        Match::Unusable => "finds other accounts",
                    },
                    Outcome::Answered(Verdict::Unsupported) => "not supported",
                    _ => return Err(describe(&searched)),
                };
                break;
            }
            if found == "finds the account" {
                finds_by.push(*key);
            }
            self.note(format!("search by {}: {found}", key.as_str()));
        }
        self.capabilities.finds_by = finds_by;
        Ok(())
    }

    /// Changes one attribute, by PATCH if the target has it.
    async fn try_change(&mut self, user: &User, document: &Document, account: &Account) -> Result<(), String> {
        let mut changed = user.clone();
        changed.name.family = Some("Changed".into());
        let after = self.document(&changed, true)?;
        let result = self.update(&after, document, account).await;
        if result.is_err() && self.capabilities.patch && self.sender.dialect().name() == "scim" {
            self.note(format!("change by PATCH: {}", result.err().unwrap_or_default()));
            self.capabilities.patch = false;
            let result = self.update(&after, document, account).await;
            self.note(format!("change by PUT: {}", result.err().unwrap_or_else(|| "done".into())));
        } else {
            let method = if self.capabilities.patch { "single attributes" } else { "PUT" };
            self.note(format!("change by {method}: {}", result.err().unwrap_or_else(|| "done".into())));
        }
        if document.key(MatchKey::ExternalId).is_some()
            && let Some(shown) = self.read(&account.id).await
            && shown.external_id.as_deref() != Some(&user.id.to_string())
        {
            let note = "the external id is not shown: accounts are recognized by user name or email";
            self.note(note.into());
        }
        Ok(())
    }

    /// A second account with the same user name and email, and one with the same external id.
    async fn try_duplicates(&mut self, user: &User) -> Result<(), String> {
        let mut rejected = Vec::new();
        let same_name = User { id: UserId(Uuid::from_u128(random())), ..user.clone() };
        let same_id = User { id: user.id, role: user.role, ..test_user(UserId(Uuid::from_u128(random()))) };
        let keys = [(MatchKey::UserName, same_name), (MatchKey::ExternalId, same_id)];
        for (key, other) in keys {
            let document = self.document(&other, true)?;
            if key == MatchKey::ExternalId && document.key(key).is_none() {
                continue;
            }
            let key = if document.key(key).is_none() { MatchKey::Email } else { key };
            let second = self.send(&Operation::Create(&document)).await;
            match &second.outcome {
                Outcome::Answered(Verdict::Duplicate(_) | Verdict::Rejected(_)) => {
                    rejected.push(key);
                    self.note(format!("a second account with the same {}: rejected", key.as_str()));
                }
                Outcome::Answered(Verdict::Done(Some(account))) => {
                    self.note(format!("a second account with the same {}: accepted", key.as_str()));
                    let deleted = self.send(&Operation::Delete { id: &account.id }).await;
                    if !matches!(deleted.outcome, Outcome::Answered(Verdict::Done(_) | Verdict::NotFound)) {
                        self.note(format!("delete the account {} by hand", other.user_name));
                    }
                }
                _ => self.note(format!("a second account with the same {}: {}", key.as_str(), describe(&second))),
            }
        }
        self.capabilities.rejects_duplicate = rejected;
        Ok(())
    }

    fn document(&self, user: &User, is_active: bool) -> Result<Document, String> {
        let labels = Labels::default();
        let outgoing = OutgoingUser { user, labels: &labels, manager: None, is_active };
        let rules = AccountRules::new(self.sender.dialect(), self.capabilities.clone(), self.sender.target());
        let rules = rules.map_err(|error| error.to_string())?;
        rules.document(&outgoing).map_err(|error| error.to_string())
    }

    async fn update(&self, after: &Document, before: &Document, account: &Account) -> Result<(), String> {
        let attributes = after.attributes.iter().zip(&before.attributes).enumerate();
        let changed: Vec<usize> = attributes.filter(|(_, (new, old))| new != old).map(|(index, _)| index).collect();
        for part in self.sender.dialect().requests_of_update(after, &changed) {
            let patch = self.capabilities.patch;
            let operation = Operation::Update { id: &account.id, document: after, changed: &part, patch };
            let exchange = self.send(&operation).await;
            if !matches!(exchange.outcome, Outcome::Answered(Verdict::Done(_))) {
                return Err(describe(&exchange));
            }
        }
        Ok(())
    }

    async fn read(&self, id: &str) -> Option<Account> {
        match self.send(&Operation::Get { id }).await.outcome {
            Outcome::Answered(Verdict::Done(account)) => account,
            _ => None,
        }
    }

    async fn send(&self, operation: &Operation<'_>) -> Exchange {
        self.sender.send(operation).await
    }

    fn note(&mut self, line: String) {
        self.capabilities.evidence.push(line);
    }
}

/// Why a request did not succeed.
fn describe(exchange: &Exchange) -> String {
    let status = exchange.status.map(|status| format!(" (status {status})")).unwrap_or_default();
    let text = exchange.detail().unwrap_or_else(|| match &exchange.outcome {
        Outcome::Answered(Verdict::Denied) => "the credential is rejected".into(),
        Outcome::Answered(Verdict::Unsupported) => "not supported".into(),
        Outcome::Answered(Verdict::NotFound) => "no such account".into(),
        Outcome::Answered(Verdict::Unavailable { .. }) => {
            "the target is rate-limiting requests or is unavailable".into()
        }
        Outcome::Answered(Verdict::Duplicate(_)) => PushFault::Conflict.as_str().into(),
        _ => exchange.outcome_name().into(),
    });
    format!("{text}{status}")
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    // Without random bytes the test finds an account that is there already, and says so.
    let _ = getrandom::fill(&mut bytes);
    u128::from_be_bytes(bytes)
}

fn test_user(id: UserId) -> User {
    let mut user = User::new(id, Time(0));
    let name = format!("muster-test-{:08x}@example.com", random() & 0xffff_ffff);
    user.user_name.clone_from(&name);
    user.emails = vec![TypedValue { primary: Some(true), ..TypedValue::new("work", &name) }];
    user.name = Name { given: Some("Muster".into()), family: Some("Test".into()), ..Name::default() };
    user.status = Status::Active;
    user.do_not_email = Some(true);
    user
}
