//! Vectors that other programs made, each a test of its own name.
//!
//! A name here must match a case in the data, and every case in the data must be named here.

mod channelstream;
mod pusher;
mod pushi;

use serde_json::Value;

/// Every case of a list with the name of its test: what is no letter or digit becomes `_`, and a
/// name that comes again gets a number.
fn named(cases: &Value) -> Vec<(String, Value)> {
    let mut named: Vec<(String, Value)> = Vec::new();
    for case in cases.as_array().expect("a list of cases") {
        let title = case["name"].as_str().expect("a name");
        let words: Vec<&str> = title
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let mut name = words.join("_").to_lowercase();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert_str(0, "at_");
        }
        let earlier = named
            .iter()
            .filter(|(_, known)| known["name"] == case["name"])
            .count();
        if earlier > 0 {
            name = format!("{name}_{}", earlier + 1);
        }
        named.push((name, case.clone()));
    }
    named
}
