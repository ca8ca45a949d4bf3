//! How far something long is: a bar on a terminal, a plain line now and then elsewhere, nothing beside JSON.

use crate::output::Output;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a plain line is said.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often a bar is drawn anew, a second.
const DRAWS: u8 = 8;

/// What has gone by so far.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Plain lines are said.
    is_plain: bool,
    what: &'static str,
    total: Option<u64>,
    done: u64,
    begun: Instant,
    said: Instant,
}

impl Progress {
    /// Of so many `what`, where that is known.
    pub(crate) fn new(output: Output, what: &'static str, total: Option<u64>) -> Self {
        let is_seen = std::io::stderr().is_terminal() && !output.json;
        let template = if total.is_some() {
            "[{bar:30}] {percent:>3} %  {human_pos} of {human_len} {msg}, {per_sec}, {eta} left"
        } else {
            "{spinner} {human_pos} {msg}, {per_sec}, {elapsed}"
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let target =
            if is_seen { ProgressDrawTarget::stderr_with_hz(DRAWS) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target)
            .with_style(style.with_key("per_sec", rate).progress_chars("=> "))
            .with_message(what);
        let now = Instant::now();
        Self { bar, is_plain: !is_seen && !output.json, what, total, done: 0, begun: now, said: now }
    }

    /// So many more.
    pub(crate) fn add(&mut self, more: u64) {
        self.done += more;
        if self.is_plain {
            if self.said.elapsed() >= LINE_EVERY {
                self.said = Instant::now();
                self.say();
            }
        } else if self.done.is_multiple_of(64) || more > 1 {
            self.bar.set_position(self.done);
        }
    }

    #[expect(clippy::print_stderr, reason = "this is the terminal")]
    fn say(&self) {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.done as f64 / seconds;
        let mut line = format!("{} {}, {} a second", HumanCount(self.done), self.what, whole(rate));
        if let Some(left) = self.total.map(|total| total.saturating_sub(self.done)) {
            #[expect(clippy::cast_precision_loss, reason = "a guess for people")]
            let seconds = left as f64 / rate.max(0.001);
            line += &format!(", {} s left", whole(seconds));
        }
        eprintln!("{line}");
    }

    /// It is over; the bar goes.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn rate(state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write) {
    // Writing to a bar cannot fail in a way that matters.
    let _ = write!(out, "{}/s", whole(state.per_sec()));
}

/// A number for people, without its fraction.
fn whole(number: f64) -> HumanCount {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are small and not negative"
    )]
    HumanCount(number.round().max(0.0) as u64)
}
