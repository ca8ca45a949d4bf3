//! Progress of long commands: a bar on a terminal, occasional lines elsewhere, nothing with `--json`.

use crate::output::Output;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Interval between lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
const DRAWS_PER_SECOND: u8 = 8;

pub(crate) struct Progress {
    bar: ProgressBar,
    /// Print lines instead of a bar.
    prints_lines: bool,
    unit: &'static str,
    total: Option<u64>,
    done: u64,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// `what` is the unit; `total` is `None` if it is unknown.
    pub(crate) fn new(output: Output, what: &'static str, total: Option<u64>) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && !output.json;
        let template = if total.is_some() {
            "[{bar:30}] {percent:>3} %  {human_pos} of {human_len} {msg}, {per_sec}, {eta} left"
        } else {
            "{spinner} {human_pos} {msg}, {per_sec}, {elapsed}"
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let target = if is_terminal {
            ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target)
            .with_style(style.with_key("per_sec", write_rate).progress_chars("=> "))
            .with_message(what);
        let now = Instant::now();
        Self {
            bar,
            prints_lines: !is_terminal && !output.json,
            unit: what,
            total,
            done: 0,
            started: now,
            last_line: now,
        }
    }

    pub(crate) fn add(&mut self, count: u64) {
        self.done += count;
        if self.prints_lines {
            if self.last_line.elapsed() >= LINE_INTERVAL {
                self.last_line = Instant::now();
                self.print_line();
            }
        } else if self.done.is_multiple_of(64) || count > 1 {
            self.bar.set_position(self.done);
        }
    }

    #[expect(clippy::print_stderr, reason = "this is the terminal")]
    fn print_line(&self) {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "only displayed")]
        let rate = self.done as f64 / seconds;
        let mut line = format!("{} {}, {} per second", HumanCount(self.done), self.unit, rounded(rate));
        if let Some(left) = self.total.map(|total| total.saturating_sub(self.done)) {
            #[expect(clippy::cast_precision_loss, reason = "only displayed")]
            let seconds = left as f64 / rate.max(0.001);
            line += &format!(", {} s left", rounded(seconds));
        }
        eprintln!("{line}");
    }

    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn write_rate(state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write) {
    // A failure only affects the display.
    let _ = write!(out, "{}/s", rounded(state.per_sec()));
}

fn rounded(number: f64) -> HumanCount {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are small and not negative")]
    HumanCount(number.round().max(0.0) as u64)
}
