//! The metrics of the gateway, by target.

use directory::TenantNumber;
use gateway::{GatewayMetrics, TargetMetrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct GatewayCollector(pub(crate) Arc<GatewayMetrics>);

type Targets = BTreeMap<(TenantNumber, u32), TargetMetrics>;
type Labels = Vec<(String, String)>;

impl Collector for GatewayCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let (targets, behind) = (self.0.snapshot(), self.0.behind());
        let help = "The clock of this machine minus that of the database, in seconds; beyond 5, nothing is pushed";
        #[expect(clippy::cast_precision_loss, reason = "shown in seconds")]
        let difference = self.0.clock_difference() as f64 / 1e6;
        encode_gauges(&mut encoder, "gateway_clock_difference_seconds", help, [(Labels::new(), difference)])?;
        if targets.is_empty() {
            return Ok(());
        }
        encode_requests(&mut encoder, &targets)?;
        let each = |value: fn(&TargetMetrics) -> Option<i64>| {
            let values = targets.iter().map(move |(key, target)| Some((labels(*key, target), value(target)?)));
            values.flatten().collect::<Vec<_>>()
        };
        let help = "Whether only probes are sent to the target, because requests fail: 1 or 0";
        encode_gauges(&mut encoder, "push_quarantined", help, each(|it| Some(it.is_quarantined.into())))?;
        let help = "Whether nothing can be sent to the target, such as for lack of the master key: 1 or 0";
        encode_gauges(&mut encoder, "push_unusable", help, each(|it| Some(it.problem.is_some().into())))?;
        let help = "Days until the credential of the target expires, if that is known";
        encode_gauges(&mut encoder, "push_secret_days_left", help, each(|it| it.days_left))?;
        let help = "Requests per second that are sent to the target at most; none without a limit";
        let rates = targets.iter().filter_map(|(key, target)| Some((labels(*key, target), target.rate?)));
        encode_gauges(&mut encoder, "push_rate", help, rates)?;
        let help = "How long the oldest user who is due has waited, in seconds";
        let seconds = |micros: &i64| Duration::from_micros(micros.unsigned_abs()).as_secs_f64();
        encode_gauges(&mut encoder, "push_lag_seconds", help, by_priority(&targets, |it| &it.lag, seconds))?;
        let help = "Users who are due, by priority";
        let count = |count: &u64| i64::try_from(*count).unwrap_or(i64::MAX);
        encode_gauges(&mut encoder, "push_due", help, by_priority(&targets, |it| &it.due, count))?;
        let help = "Positions of events that the gateway has not followed yet";
        let behind = behind.iter().map(|(tenant, positions)| (vec![label("tenant", tenant)], count(positions)));
        encode_gauges(&mut encoder, "gateway_events_behind", help, behind)
    }
}

fn encode_requests(encoder: &mut DescriptorEncoder, targets: &Targets) -> Result<(), Error> {
    let counter = ConstCounter::new(0_u64);
    let help = "Requests to targets, by what they did and how they were answered";
    let mut requests = encoder.encode_descriptor("push", help, None, counter.metric_type())?;
    for (key, target) in targets {
        for ((action, outcome), (count, _)) in &target.requests {
            let own = vec![label("action", action), label("outcome", outcome)];
            ConstCounter::new(*count).encode(requests.encode_family(&[labels(*key, target), own].concat())?)?;
        }
    }
    let counter = ConstCounter::new(0.0_f64);
    let help = "Duration of these requests, in seconds";
    let mut seconds = encoder.encode_descriptor("push_seconds", help, None, counter.metric_type())?;
    for (key, target) in targets {
        let total: f64 = target.requests.values().map(|(_, time)| time.as_secs_f64()).sum();
        ConstCounter::new(total).encode(seconds.encode_family(&labels(*key, target))?)?;
    }
    Ok(())
}

fn encode_gauges<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, N)>,
) -> Result<(), Error> {
    let kind = ConstGauge::new(0_i64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn by_priority<T, N>(
    targets: &Targets,
    values: fn(&TargetMetrics) -> &BTreeMap<&'static str, T>,
    convert: impl Fn(&T) -> N,
) -> Vec<(Labels, N)> {
    let mut all = Vec::new();
    for (key, target) in targets {
        for (priority, value) in values(target) {
            all.push(([labels(*key, target), vec![label("priority", priority)]].concat(), convert(value)));
        }
    }
    all
}

fn labels((tenant, _): (TenantNumber, u32), target: &TargetMetrics) -> Labels {
    vec![label("tenant", &tenant), label("target", &target.name)]
}

fn label(name: &str, value: &impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}
