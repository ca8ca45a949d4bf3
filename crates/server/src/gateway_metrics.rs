//! The metrics of the gateway, by target.

use gateway::GatewayMetrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt::Error;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct GatewayCollector(pub(crate) Arc<GatewayMetrics>);

impl Collector for GatewayCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let targets = self.0.snapshot();
        if targets.is_empty() {
            return Ok(());
        }
        let labels = |tenant: &directory::TenantNumber, name: &str| {
            [("tenant".to_owned(), tenant.to_string()), ("target".to_owned(), name.to_owned())]
        };
        let counter = ConstCounter::new(0_u64);
        let help = "Requests to targets, by what they did and how they were answered";
        let mut requests = encoder.encode_descriptor("push", help, None, counter.metric_type())?;
        for ((tenant, _), target) in &targets {
            for ((action, outcome), (count, _)) in &target.requests {
                let own = [("action".to_owned(), (*action).to_owned()), ("outcome".to_owned(), (*outcome).to_owned())];
                let all = [labels(tenant, &target.name), own].concat();
                ConstCounter::new(*count).encode(requests.encode_family(&all)?)?;
            }
        }
        let counter = ConstCounter::new(0.0_f64);
        let mut seconds = encoder.encode_descriptor(
            "push_seconds",
            "Duration of these requests, in seconds",
            None,
            counter.metric_type(),
        )?;
        for ((tenant, _), target) in &targets {
            let total: f64 = target.requests.values().map(|(_, time)| time.as_secs_f64()).sum();
            ConstCounter::new(total).encode(seconds.encode_family(&labels(tenant, &target.name))?)?;
        }
        let gauge = ConstGauge::new(0_i64);
        let help = "Whether only probes are sent to the target, because requests fail: 1 or 0";
        let mut quarantined = encoder.encode_descriptor("push_quarantined", help, None, gauge.metric_type())?;
        for ((tenant, _), target) in &targets {
            let value = i64::from(target.is_quarantined);
            ConstGauge::new(value).encode(quarantined.encode_family(&labels(tenant, &target.name))?)?;
        }
        let help = "Whether nothing can be sent to the target, such as for lack of the master key: 1 or 0";
        let mut unusable = encoder.encode_descriptor("push_unusable", help, None, gauge.metric_type())?;
        for ((tenant, _), target) in &targets {
            let value = i64::from(target.problem.is_some());
            ConstGauge::new(value).encode(unusable.encode_family(&labels(tenant, &target.name))?)?;
        }
        let gauge_seconds = ConstGauge::new(0.0_f64);
        let help = "How long the oldest user who is due has waited, in seconds";
        let mut lag = encoder.encode_descriptor("push_lag_seconds", help, None, gauge_seconds.metric_type())?;
        for ((tenant, _), target) in &targets {
            for (priority, micros) in &target.lag {
                let own = [("priority".to_owned(), (*priority).to_owned())];
                let all = [labels(tenant, &target.name).as_slice(), &own].concat();
                let seconds = std::time::Duration::from_micros(micros.unsigned_abs()).as_secs_f64();
                ConstGauge::new(seconds).encode(lag.encode_family(&all)?)?;
            }
        }
        let help = "Days until the credential of the target expires, if that is known";
        let mut days = encoder.encode_descriptor("push_secret_days_left", help, None, gauge.metric_type())?;
        for ((tenant, _), target) in &targets {
            if let Some(value) = target.days_left {
                ConstGauge::new(value).encode(days.encode_family(&labels(tenant, &target.name))?)?;
            }
        }
        Ok(())
    }
}
