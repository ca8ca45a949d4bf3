//! What pages and mails are sealed with: links that nobody can make up, forms that nobody else can send, and the keys
//! of browsers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{
    Directory, DirectoryError, KeyHash, KnownDevice, LinkPurpose, ServerSecret, SignInLinkRef, TenantNumber,
    Time, UserId,
};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use uuid::Uuid;

/// The name of the installation's secret from which these keys are drawn.
const SECRET: &str = "portal";
/// So many bytes of a seal are in a link: enough that nobody finds one by trying.
const SEAL: usize = 16;

/// What a link ends in: programs that find links in plain text may leave a dash or underscore at the end out.
const END: &str = "z";

/// Keys of an installation.
pub(crate) struct Keys {
    links: hmac::Key,
    forms: hmac::Key,
    devices: hmac::Key,
}

impl Keys {
    pub(crate) async fn of(directory: &Directory) -> Result<Self, DirectoryError> {
        Ok(Self::drawn_from(&directory.server_secret(SECRET).await?))
    }

    fn drawn_from(secret: &ServerSecret) -> Self {
        let all = hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
        let draw = |purpose: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&all, purpose).as_ref());
        Self { links: draw(b"links"), forms: draw(b"forms"), devices: draw(b"devices") }
    }

    /// The part of a link that says whose and which it is, and that it is ours.
    pub(crate) fn seal(&self, tenant: TenantNumber, link: &SignInLinkRef) -> String {
        let named = [link.user.0.as_bytes().as_slice(), link.id.as_bytes()].concat();
        let seal = hmac::sign(&self.links, &sealed(tenant, link.purpose, &named));
        URL_SAFE_NO_PAD.encode([&named, &seal.as_ref()[..SEAL]].concat()) + END
    }

    /// The link that this is part of; nothing when it is not whole, altered, another tenant's, or for something else.
    pub(crate) fn open(
        &self,
        tenant: TenantNumber,
        purpose: LinkPurpose,
        text: &str,
    ) -> Option<SignInLinkRef> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_suffix(END)?).ok()?;
        let (named, seal) = bytes.split_at_checked(32)?;
        let right = hmac::sign(&self.links, &sealed(tenant, purpose, named));
        let is_ours = is_same(&right.as_ref()[..SEAL], seal);
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        let (user, id) = (id(&named[..16])?, id(&named[16..])?);
        is_ours.then_some(SignInLinkRef { user: UserId(user), id, purpose })
    }

    /// The value of the cookie of a known browser.
    pub(crate) fn seal_device(&self, tenant: TenantNumber, device: &KnownDevice) -> String {
        let named = [device.user.0.as_bytes().as_slice(), &device.last_sign_in.0.to_be_bytes()].concat();
        let seal = hmac::sign(&self.devices, &[&tenant.0.to_be_bytes(), named.as_slice()].concat());
        URL_SAFE_NO_PAD.encode([&named, &seal.as_ref()[..SEAL]].concat())
    }

    /// The known browser of a cookie; `None` if it was altered or belongs to another tenant.
    pub(crate) fn open_device(&self, tenant: TenantNumber, text: &str) -> Option<KnownDevice> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (named, seal) = bytes.split_at_checked(24)?;
        let right = hmac::sign(&self.devices, &[&tenant.0.to_be_bytes(), named].concat());
        let (user, since) = named.split_first_chunk::<16>()?;
        let since = Time(i64::from_be_bytes(since.try_into().ok()?));
        is_same(&right.as_ref()[..SEAL], seal)
            .then_some(KnownDevice { user: UserId(Uuid::from_bytes(*user)), last_sign_in: since })
    }

    /// What a form of a visitor must hold.
    pub(crate) fn form(&self, visitor: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.forms, visitor.as_bytes()))
    }

    /// Whether a form is one that was given to the visitor.
    pub(crate) fn is_form_of(&self, visitor: &str, token: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(token)
            .is_ok_and(|token| hmac::verify(&self.forms, visitor.as_bytes(), &token).is_ok())
    }
}

fn sealed(tenant: TenantNumber, purpose: LinkPurpose, named: &[u8]) -> Vec<u8> {
    [&tenant.0.to_be_bytes(), purpose.as_str().as_bytes(), named].concat()
}

/// In constant time.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// A text that nobody can guess.
pub(crate) fn random() -> Result<String, DirectoryError> {
    let mut bytes = [0_u8; 32];
    let none = |_| DirectoryError::Internal("no randomness".into());
    SystemRandom::new().fill(&mut bytes).map_err(none)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a browser's key.
pub(crate) fn kept(key: &str) -> KeyHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    KeyHash(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_unaltered_in_its_tenant_and_for_its_purpose() {
        let keys = Keys::drawn_from(&ServerSecret([1; 32]));
        let one = TenantNumber(1);
        let purpose = LinkPurpose::Invitation;
        let link = SignInLinkRef { user: UserId(Uuid::from_u128(7)), id: Uuid::from_u128(9), purpose };
        let text = keys.seal(one, &link);
        assert_eq!(keys.open(one, purpose, &text), Some(link));
        assert_eq!(keys.open(TenantNumber(2), purpose, &text), None);
        assert_eq!(keys.open(one, LinkPurpose::Reset, &text), None);
        assert_eq!(Keys::drawn_from(&ServerSecret([2; 32])).open(one, purpose, &text), None);
        for n in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[n] = if altered[n] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("text");
            assert_eq!(keys.open(one, purpose, &altered), None, "{n}");
            assert_eq!(keys.open(one, purpose, &text[..n]), None, "{n}");
        }
    }

    #[test]
    fn a_device_is_known_unaltered_and_in_its_tenant() {
        let keys = Keys::drawn_from(&ServerSecret([1; 32]));
        let one = TenantNumber(1);
        let device =
            KnownDevice { user: UserId(Uuid::from_u128(7)), last_sign_in: Time(1_700_000_000_000_000) };
        let text = keys.seal_device(one, &device);
        assert_eq!(keys.open_device(one, &text), Some(device));
        assert_eq!(keys.open_device(TenantNumber(2), &text), None);
        assert_eq!(Keys::drawn_from(&ServerSecret([2; 32])).open_device(one, &text), None);
        for n in 0..text.len() - 1 {
            let mut altered = text.clone().into_bytes();
            altered[n] = if altered[n] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("text");
            assert_eq!(keys.open_device(one, &altered), None, "{n}");
            assert_eq!(keys.open_device(one, &text[..n]), None, "{n}");
        }
    }

    #[test]
    fn a_form_is_good_for_its_visitor_alone() {
        let keys = Keys::drawn_from(&ServerSecret([1; 32]));
        let token = keys.form("ann");
        assert!(keys.is_form_of("ann", &token) && !keys.is_form_of("bob", &token));
        assert!(!keys.is_form_of("ann", "") && !keys.is_form_of("", ""));
    }
}
