//! What a probe found, for people.

use std::fmt::Write;

use super::quote::ref_name;
use super::terminal::bytes;
use crate::api::{ProbeReport, SideReport};

/// `report` as lines, each with its line feed. `source` and `target` are how the user named the sides.
pub fn render(report: &ProbeReport, source: &str, target: Option<&str>) -> String {
    let mut out = String::new();
    side(&mut out, "source", source, &report.source);
    if let (Some(name), Some(report)) = (target, &report.target) {
        side(&mut out, "target", name, report);
    }
    out
}

fn side(out: &mut String, which: &str, name: &str, report: &SideReport) {
    // Writing to a string cannot fail.
    writeln!(out, "{which} {name}").ok();
    for (key, value) in facts(report) {
        writeln!(out, "  {key:13}  {value}").ok();
    }
}

fn facts(report: &SideReport) -> Vec<(&'static str, String)> {
    let capabilities = |wanted: bool| {
        let all = report.capabilities.iter();
        let names: Vec<_> = all
            .filter(|(_, has)| **has == wanted)
            .map(|(name, _)| *name)
            .collect();
        (!names.is_empty()).then(|| names.join(" "))
    };
    let mut facts = vec![match &report.unreachable {
        Some(why) => ("reachable", format!("no: {why}")),
        None => ("reachable", "yes".to_owned()),
    }];
    let mut add = |key, value: Option<String>| facts.extend(value.map(|value| (key, value)));
    add("protocol", report.protocol.map(str::to_owned));
    add("object format", report.object_format.clone());
    add("agent", report.agent.clone());
    add(
        "HEAD",
        report.head.as_ref().map(|head| ref_name(head).into_owned()),
    );
    add("offers", capabilities(true));
    add("lacks", capabilities(false));
    add("size limit", report.max_input_size.map(bytes));
    let nothing = report.unreachable.is_none() && report.refs.is_empty();
    add("refs", nothing.then(|| "none".to_owned()));
    for (space, count) in &report.refs {
        add("refs", Some(format!("{count} in {}", ref_name(space))));
    }
    facts
}
