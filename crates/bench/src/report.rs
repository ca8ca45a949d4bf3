//! The result table, as text and as JSON.

use crate::load::LoadStats;
use serde_json::{Value, json};

pub(crate) struct Row {
    name: String,
    rate: f64,
    share_of_baseline: Option<f64>,
    p50: f64,
    p99: f64,
    cpu: f64,
}

impl Row {
    /// A row; `baseline_rate` is the baseline's rate.
    pub(crate) fn new(name: &str, stats: &LoadStats, baseline_rate: Option<f64>) -> Self {
        Self {
            name: name.to_owned(),
            rate: stats.requests_per_second(),
            share_of_baseline: baseline_rate.map(|baseline_rate| stats.requests_per_second() / baseline_rate),
            p50: stats.p50_ms,
            p99: stats.p99_ms,
            cpu: stats.cpu_us_per_request,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.name, "per_second": self.rate.round(), "share_of_baseline": self.share_of_baseline,
            "p50_ms": self.p50, "p99_ms": self.p99, "cpu_us_per_request": self.cpu.round(),
        })
    }
}

#[expect(clippy::print_stdout, reason = "the program's output")]
pub(crate) fn print(rows: &[Row], facts: &Value) {
    println!("| what | per second | of its baseline | p50 ms | p99 ms | CPU µs/request |");
    println!("|---|---:|---:|---:|---:|---:|");
    for row in rows {
        let share = row.share_of_baseline.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0));
        println!("| {} | {:.0} | {share} | {:.2} | {:.2} | {:.0} |", row.name, row.rate, row.p50, row.p99, row.cpu);
    }
    println!();
    for (name, value) in facts.as_object().into_iter().flatten() {
        println!("- {}: {value}", name.replace('_', " "));
    }
}
