//! A door's status for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use leveret_door::{InstanceStatus, ServiceStatus, Status};

pub(super) fn render(status: &Status) -> String {
    let link = &status.link;
    let link = match link.up {
        true => format!("linked to {} as {}", tame(&link.broker), tame(&link.user)),
        false => format!(
            "no broker: {}",
            if link.why.is_empty() { "not yet dialled".into() } else { tame(&link.why) }
        ),
    };
    let mut text = format!(
        "door {} version {}, HTTP on {}, {} client connections\n  {link}\n",
        tame(&status.door),
        tame(&status.version),
        tame(&status.listen),
        status.connections,
    );
    for conflict in &status.conflicts {
        text.push_str(&format!("  conflict: {}\n", tame(conflict)));
    }
    for refused in &status.refused {
        text.push_str(&format!("  refused: {}\n", tame(refused)));
    }
    for (driver, said) in &status.drivers {
        text.push_str(&format!("  {}: {}\n", tame(driver), tame(said)));
    }
    if status.services.is_empty() {
        text.push_str("\nno service has announced itself\n");
    }
    for service in &status.services {
        text.push_str(&section(service));
    }
    text
}

fn section(service: &ServiceStatus) -> String {
    let mut text = format!(
        "\nservice {}: {} requests, {} errors, {} in flight, {} waiting, p50 {}, p95 {}\n",
        tame(&service.name),
        service.requests,
        service.errors,
        service.inflight,
        service.waiting,
        time(service.p50_us),
        time(service.p95_us),
    );
    if service.instances.is_empty() {
        text.push_str("  no instance\n");
        return text;
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "instance",
        "state",
        "in flight",
        "requests",
        "errors",
        "p50",
        "p95",
        "address",
        "user",
        "not routed because",
    ]);
    for instance in &service.instances {
        table.add_row(row(instance));
    }
    for column in 2..=6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    text.push_str(&table.trim_fmt());
    text.push('\n');
    text
}

fn row(instance: &InstanceStatus) -> Vec<String> {
    let inflight = match instance.tunnels {
        0 => instance.inflight.to_string(),
        tunnels => format!("{} + {tunnels} tunnels", instance.inflight),
    };
    vec![
        tame(&instance.name),
        tame(&instance.state),
        inflight,
        instance.requests.to_string(),
        instance.errors.to_string(),
        time(instance.p50_us),
        time(instance.p95_us),
        tame(&instance.address),
        tame(&instance.user),
        if instance.why_not.is_empty() { "-".to_owned() } else { tame(&instance.why_not) },
    ]
}

fn time(micros: u64) -> String {
    match micros {
        0 => "-".to_owned(),
        1..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

/// Foreign text stays on its line and out of the terminal's controls.
fn tame(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c == '\'' || c == '"' { vec![c] } else { c.escape_debug().collect() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_is_there_and_why_somebody_gets_nothing() {
        let instance = |name: &str, why_not: &str| InstanceStatus {
            name: name.to_owned(),
            state: "ready".to_owned(),
            why_not: why_not.to_owned(),
            user: "a\u{1b}[2J\nb".to_owned(),
            p50_us: 1_234,
            ..InstanceStatus::default()
        };
        let instances = vec![instance("a", ""), instance("b", "it does not answer")];
        let services = vec![ServiceStatus { name: "shop".to_owned(), instances, ..ServiceStatus::default() }];
        let text = render(&Status { services, ..Status::default() });
        assert!(
            text.contains("service shop") && text.contains("it does not answer") && text.contains("1.2 ms"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}') && text.contains("no broker"), "{text}");
    }
}
