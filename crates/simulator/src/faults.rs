//! What goes wrong.

use serde::Deserialize;

/// Shares are from 0 to 1, and independent of each other.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Faults {
    /// For repeatable runs.
    pub seed: u64,
    /// Share of writes that are carried out and not answered: the connection is closed.
    pub lose_answers: f64,
    /// Share of responses whose body ends in the middle.
    pub cut_answers: f64,
    /// Share of requests that are answered with 500 and not carried out.
    pub fail: f64,
    /// Share of writes that are carried out and answered with 500.
    pub fail_after_work: f64,
    /// Share of requests that are answered with 429.
    pub too_many_requests: f64,
    /// `Retry-After` of these responses, in seconds; without it, they have none.
    pub retry_after: Option<u64>,
    /// Share of requests that are delayed.
    pub slow: f64,
    /// By how many milliseconds.
    pub slow_ms: u64,
    /// Delay of every response, in milliseconds.
    pub delay_ms: u64,
    /// Share of creates that are answered with an id that no account has.
    pub wrong_id: f64,
    /// Share of creates that are answered with the id of another account.
    pub other_id: f64,
    /// Share of requests that are answered with an HTML page for signing in.
    pub login_page: f64,
    /// Searches find no account.
    pub filters_find_nothing: bool,
    /// Searches find all accounts.
    pub filters_find_everything: bool,
    /// Attributes that are accepted and not stored.
    pub drop_attributes: Vec<String>,
    /// Several accounts may have the same keys.
    pub allow_duplicates: bool,
    /// Groups cannot have more members.
    pub max_members: Option<usize>,
    /// New and changed accounts are found after this many milliseconds.
    pub visible_after_ms: u64,
    /// The key is valid for this many requests.
    pub key_expires_after: Option<u64>,
}

impl Faults {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// It is not valid TOML, or has an unknown fault or a share above 1.
    pub fn parse(text: &str) -> Result<Self, String> {
        let faults: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let shares = [
            faults.lose_answers,
            faults.cut_answers,
            faults.fail,
            faults.fail_after_work,
            faults.too_many_requests,
            faults.slow,
            faults.wrong_id,
            faults.other_id,
            faults.login_page,
        ];
        if shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            Ok(faults)
        } else {
            Err("shares must be between 0 and 1".into())
        }
    }
}

/// A pseudorandom number generator (`SplitMix64`) with repeatable output.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Whether something with this probability happens.
    pub(crate) fn roll(&mut self, share: f64) -> bool {
        if share <= 0.0 {
            return false;
        }
        #[expect(clippy::cast_precision_loss, reason = "more bits than a share has")]
        let random = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        random < share
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_checked() {
        let faults = Faults::parse("lose-answers = 0.05\nretry-after = 2\n").expect("valid");
        assert_eq!((faults.lose_answers, faults.retry_after), (0.05, Some(2)));
        for bad in ["lose-answers = 2", "lost-answers = 0.1", "x", "fail = -1"] {
            assert!(Faults::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_kept() {
        let mut rng = Rng::new(1);
        let hits = (0..10_000).filter(|_| rng.roll(0.05)).count();
        assert!((400..600).contains(&hits), "{hits}");
        assert!(!rng.roll(0.0) && rng.roll(1.0));
    }
}
