//! Licences, sources and bans of all that is linked in, by `deny.toml` and the packages' own words. Reads no licence texts:
//! `cargo deny check` does, in `tests/run --full`.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::Value;
use spdx::{Expression, ParseMode};
use std::process::Command;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn rules() -> toml::Table {
    std::fs::read_to_string("deny.toml").unwrap().parse().unwrap()
}

fn packages() -> Vec<Value> {
    let said =
        Command::new(env!("CARGO")).args(["metadata", "--format-version", "1", "--locked", "--all-features"]).output();
    let said = said.unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let all: Value = serde_json::from_slice(&said.stdout).unwrap();
    all["packages"].as_array().unwrap().clone()
}

/// What is wrong with a package, by the rules.
fn fault(package: &Value, rules: &toml::Table) -> Option<String> {
    let name = package["name"].as_str().unwrap();
    let words = |list: &toml::Value| list.as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect();
    let banned = rules["bans"]["deny"].as_array().unwrap();
    if banned.iter().any(|one| one["crate"].as_str() == Some(name)) {
        return Some(format!("{name} is banned"));
    }
    if package["source"].as_str().is_some_and(|source| source != REGISTRY) {
        return Some(format!("{name} comes from {}", package["source"]));
    }
    let mut allowed: Vec<String> = words(&rules["licenses"]["allow"]);
    for one in rules["licenses"]["exceptions"].as_array().unwrap() {
        if one["crate"].as_str() == Some(name) {
            let more: Vec<String> = words(&one["allow"]);
            allowed.extend(more);
        }
    }
    let Some(licence) = package["license"].as_str() else { return Some(format!("{name} names no licence")) };
    let Ok(licence) = Expression::parse_mode(licence, ParseMode::LAX) else {
        return Some(format!("{name}: {licence} is no licence expression"));
    };
    let fits = licence.evaluate(|wanted| allowed.contains(&wanted.to_string()));
    (!fits).then(|| format!("{name}: {licence} is not allowed"))
}

#[test]
fn all_that_is_linked_in_is_allowed() {
    let (packages, rules) = (packages(), rules());
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let faults: Vec<String> = packages.iter().filter_map(|package| fault(package, &rules)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_not_allowed_is_noticed() {
    let rules = rules();
    let wrong = |name: &str, licence: Value, source: &str| {
        fault(&serde_json::json!({ "name": name, "license": licence, "source": source }), &rules)
    };
    assert_eq!(wrong("a", "MIT OR GPL-3.0-only".into(), REGISTRY), None);
    assert_eq!(wrong("a", "MIT/Apache-2.0".into(), REGISTRY), None);
    assert!(wrong("a", "MIT AND GPL-3.0-only".into(), REGISTRY).is_some());
    assert!(wrong("a", "AGPL-3.0-or-later".into(), REGISTRY).is_some());
    assert!(wrong("a", "MPL-2.0".into(), REGISTRY).is_some());
    assert_eq!(wrong("serialport", "MPL-2.0".into(), REGISTRY), None);
    assert!(wrong("a", Value::Null, REGISTRY).is_some());
    assert!(wrong("a", "MIT".into(), "git+https://example.org/a").is_some());
    assert!(wrong("openssl", "Apache-2.0".into(), REGISTRY).is_some());
}
