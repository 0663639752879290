//! `/metrics` in the OpenMetrics text format: the numbers of a [`Status`], one scrape at a time.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::status::{InstanceStatus, ServiceStatus, Status};

/// What a scraper is told that it gets.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The whole page.
pub(crate) fn render(status: Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("leveret_door");
    registry.register_collector(Box::new(OfStatus(status)));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

#[derive(Debug)]
struct OfStatus(Status);

/// One number of each service.
type OfService = (&'static str, &'static str, MetricType, fn(&ServiceStatus) -> u64);
/// One number of each instance.
type OfInstance = (&'static str, &'static str, MetricType, fn(&InstanceStatus) -> u64);

const OF_SERVICES: [OfService; 7] = [
    ("requests", "Requests answered", MetricType::Counter, |service| service.requests),
    ("errors", "Requests that the door answered itself", MetricType::Counter, |service| service.errors),
    ("inflight", "Requests at instances", MetricType::Gauge, |service| service.inflight.into()),
    ("waiting", "Requests that wait for an instance", MetricType::Gauge, |service| service.waiting.into()),
    ("p50_microseconds", "Median time of a request", MetricType::Gauge, |service| service.p50_us),
    ("p95_microseconds", "95th percentile of the time of a request", MetricType::Gauge, |service| {
        service.p95_us
    }),
    ("ready_instances", "Instances that get requests", MetricType::Gauge, |service| {
        service.instances.iter().filter(|instance| instance.why_not.is_empty()).count() as u64
    }),
];

const OF_INSTANCES: [OfInstance; 5] = [
    ("instance_requests", "Requests answered", MetricType::Counter, |instance| instance.requests),
    ("instance_errors", "Tries that failed", MetricType::Counter, |instance| instance.errors),
    ("instance_inflight", "Requests at the instance", MetricType::Gauge, |instance| instance.inflight.into()),
    ("instance_tunnels", "Upgraded connections", MetricType::Gauge, |instance| instance.tunnels.into()),
    ("instance_routed", "1 if the instance gets new requests", MetricType::Gauge, |instance| {
        instance.why_not.is_empty().into()
    }),
];

impl Collector for OfStatus {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = &self.0;
        let whole = [
            ("link_up", "1 while the door has a broker", u64::from(status.link.up)),
            ("client_connections", "Connections of clients", status.connections as u64),
            ("claim_conflicts", "Claims that two services want", status.conflicts.len() as u64),
        ];
        for (name, help, value) in whole {
            number(&mut encoder, name, help, MetricType::Gauge, [([("", ""); 0], value)])?;
        }
        for (name, help, kind, value) in OF_SERVICES {
            let values =
                status.services.iter().map(|service| ([("service", service.name.as_str())], value(service)));
            number(&mut encoder, name, help, kind, values)?;
        }
        for (name, help, kind, value) in OF_INSTANCES {
            let values = status.services.iter().flat_map(|service| {
                service.instances.iter().map(move |instance| {
                    (
                        [("service", service.name.as_str()), ("instance", instance.name.as_str())],
                        value(instance),
                    )
                })
            });
            number(&mut encoder, name, help, kind, values)?;
        }
        Ok(())
    }
}

/// One metric with all its label sets.
fn number<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    values: impl IntoIterator<Item = ([(&'a str, &'a str); N], u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in values {
        let one = metric.encode_family(&labels)?;
        match kind {
            MetricType::Counter => ConstCounter::new(value).encode(one)?,
            _ => ConstGauge::new(value).encode(one)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_labels() {
        let instance = InstanceStatus { name: "a".to_owned(), inflight: 2, ..InstanceStatus::default() };
        let stopped = InstanceStatus {
            name: "b".to_owned(),
            why_not: "it says draining".to_owned(),
            ..instance.clone()
        };
        let service = ServiceStatus {
            name: "shop".to_owned(),
            requests: 7,
            instances: vec![instance, stopped],
            ..ServiceStatus::default()
        };
        let page = render(Status { services: vec![service], ..Status::default() }).expect("a page");
        for line in [
            "leveret_door_link_up 0",
            "leveret_door_requests_total{service=\"shop\"} 7",
            "leveret_door_ready_instances{service=\"shop\"} 1",
            "leveret_door_instance_inflight{service=\"shop\",instance=\"a\"} 2",
            "leveret_door_instance_routed{service=\"shop\",instance=\"b\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in:\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }
}
