//! Keys and tokens of the portal: signed links in mails, CSRF tokens of forms, session keys and signed device cookies.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{
    Caller, Directory, DirectoryError, KeyHash, KnownBrowser, LinkPurpose, PasswordLink, Purpose, TenantNumber, Time,
    UserId,
};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use uuid::Uuid;

/// The name of the server secret that these keys are derived from.
const SECRET_NAME: &str = "portal";
/// Bytes of the truncated MAC; enough that it cannot be guessed.
const MAC_LEN: usize = 16;

/// Ends every link: programs that detect links in plain text can cut off a trailing dash or underscore.
const LINK_SUFFIX: &str = "z";

pub(crate) struct PortalKeys {
    links: hmac::Key,
    forms: hmac::Key,
    known_browsers: hmac::Key,
}

impl PortalKeys {
    pub(crate) async fn load(directory: &Directory, purpose: Purpose) -> Result<Self, DirectoryError> {
        Ok(Self::derive(&directory.server_secret(&Caller::task(purpose), SECRET_NAME).await?.bytes))
    }

    fn derive(secret: &[u8; 32]) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derive_key = |purpose: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&master, purpose).as_ref());
        Self { links: derive_key(b"links"), forms: derive_key(b"forms"), known_browsers: derive_key(b"devices") }
    }

    /// The last part of a link's path: user, link id and MAC.
    pub(crate) fn sign_link(&self, tenant: TenantNumber, link: &PasswordLink) -> String {
        let payload = [link.user.0.as_bytes().as_slice(), link.id.as_bytes()].concat();
        let mac = hmac::sign(&self.links, &link_mac_input(tenant, link.purpose, &payload));
        URL_SAFE_NO_PAD.encode([&payload, &mac.as_ref()[..MAC_LEN]].concat()) + LINK_SUFFIX
    }

    /// The link of a text from [`Self::sign_link`]; `None` if the text is incomplete or altered, or for another
    /// tenant or purpose.
    pub(crate) fn verify_link(&self, tenant: TenantNumber, purpose: LinkPurpose, text: &str) -> Option<PasswordLink> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_suffix(LINK_SUFFIX)?).ok()?;
        let (payload, mac) = bytes.split_at_checked(32)?;
        let expected = hmac::sign(&self.links, &link_mac_input(tenant, purpose, payload));
        let is_ours = constant_time_eq(&expected.as_ref()[..MAC_LEN], mac);
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        let (user, id) = (id(&payload[..16])?, id(&payload[16..])?);
        is_ours.then_some(PasswordLink { user: UserId(user), id, purpose })
    }

    /// The cookie value of a known browser.
    pub(crate) fn sign_known_browser(&self, tenant: TenantNumber, browser: &KnownBrowser) -> String {
        let payload = [browser.user.0.as_bytes().as_slice(), &browser.last_sign_in.0.to_be_bytes()].concat();
        let mac = hmac::sign(&self.known_browsers, &[&tenant.0.to_be_bytes(), payload.as_slice()].concat());
        URL_SAFE_NO_PAD.encode([&payload, &mac.as_ref()[..MAC_LEN]].concat())
    }

    /// The known browser of a cookie; `None` if it was altered or belongs to another tenant.
    pub(crate) fn verify_known_browser(&self, tenant: TenantNumber, text: &str) -> Option<KnownBrowser> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (payload, mac) = bytes.split_at_checked(24)?;
        let expected = hmac::sign(&self.known_browsers, &[&tenant.0.to_be_bytes(), payload].concat());
        let (user, since) = payload.split_first_chunk::<16>()?;
        let since = Time(i64::from_be_bytes(since.try_into().ok()?));
        constant_time_eq(&expected.as_ref()[..MAC_LEN], mac)
            .then_some(KnownBrowser { user: UserId(Uuid::from_bytes(*user)), last_sign_in: since })
    }

    /// The CSRF token for the forms of a browser.
    pub(crate) fn form_token(&self, browser_id: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.forms, browser_id.as_bytes()))
    }

    pub(crate) fn is_valid_form_token(&self, browser_id: &str, token: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(token)
            .is_ok_and(|token| hmac::verify(&self.forms, browser_id.as_bytes(), &token).is_ok())
    }
}

fn link_mac_input(tenant: TenantNumber, purpose: LinkPurpose, payload: &[u8]) -> Vec<u8> {
    [&tenant.0.to_be_bytes(), purpose.as_str().as_bytes(), payload].concat()
}

fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// 32 random bytes as text.
pub(crate) fn random_token() -> Result<String, DirectoryError> {
    let mut bytes = [0_u8; 32];
    let none = |_| DirectoryError::Internal("no random bytes".into());
    SystemRandom::new().fill(&mut bytes).map_err(none)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The stored form of a session key.
pub(crate) fn hash_session_key(key: &str) -> KeyHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    KeyHash(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_unaltered_in_its_tenant_and_for_its_purpose() {
        let keys = PortalKeys::derive(&[1; 32]);
        let one = TenantNumber(1);
        let purpose = LinkPurpose::Invitation;
        let link = PasswordLink { user: UserId(Uuid::from_u128(7)), id: Uuid::from_u128(9), purpose };
        let text = keys.sign_link(one, &link);
        assert_eq!(keys.verify_link(one, purpose, &text), Some(link));
        assert_eq!(keys.verify_link(TenantNumber(2), purpose, &text), None);
        assert_eq!(keys.verify_link(one, LinkPurpose::Reset, &text), None);
        assert_eq!(PortalKeys::derive(&[2; 32]).verify_link(one, purpose, &text), None);
        for n in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[n] = if altered[n] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("text");
            assert_eq!(keys.verify_link(one, purpose, &altered), None, "{n}");
            assert_eq!(keys.verify_link(one, purpose, &text[..n]), None, "{n}");
        }
    }

    #[test]
    fn a_device_is_known_unaltered_and_in_its_tenant() {
        let keys = PortalKeys::derive(&[1; 32]);
        let one = TenantNumber(1);
        let device = KnownBrowser { user: UserId(Uuid::from_u128(7)), last_sign_in: Time(1_700_000_000_000_000) };
        let text = keys.sign_known_browser(one, &device);
        assert_eq!(keys.verify_known_browser(one, &text), Some(device));
        assert_eq!(keys.verify_known_browser(TenantNumber(2), &text), None);
        assert_eq!(PortalKeys::derive(&[2; 32]).verify_known_browser(one, &text), None);
        for n in 0..text.len() - 1 {
            let mut altered = text.clone().into_bytes();
            altered[n] = if altered[n] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("text");
            assert_eq!(keys.verify_known_browser(one, &altered), None, "{n}");
            assert_eq!(keys.verify_known_browser(one, &text[..n]), None, "{n}");
        }
    }

    #[test]
    fn a_form_is_good_for_its_visitor_alone() {
        let keys = PortalKeys::derive(&[1; 32]);
        let token = keys.form_token("ann");
        assert!(keys.is_valid_form_token("ann", &token) && !keys.is_valid_form_token("bob", &token));
        assert!(!keys.is_valid_form_token("ann", "") && !keys.is_valid_form_token("", ""));
    }
}
