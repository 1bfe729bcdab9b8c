//! The dashboard and the alerts ask for metrics and labels that there are, and each alert has words
//! for whoever it wakes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::Value;
use server::metrics::{FAMILIES, Family, Kind};

/// What Prometheus adds to every sample.
const ADDED: [&str; 2] = ["job", "instance"];

/// Words of PromQL before a list of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

const OPERATORS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];

/// A metric of Prometheus' own.
const FOREIGN: &str = "up";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(repository(path)).expect(path)
}

/// The family of a sample's name.
fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().copied().find(|family| match family.kind {
        Kind::Histogram => {
            let rest = name.strip_prefix(family.name);
            rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest))
        }
        _ => name == family.name,
    })
}

/// Reads an expression of PromQL as far as names go: metrics, their labels, lists of labels. Gives
/// back the labels that its result may have.
fn check(expression: &str) -> Result<BTreeSet<&'static str>, String> {
    let mut labels: BTreeSet<&str> = ADDED.into();
    let mut listed = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        match first {
            '"' => rest = after_string(rest)?.1,
            '[' => rest = rest.split_once(']').ok_or("a range without an end")?.1,
            '0'..='9' => rest = rest.trim_start_matches(|it: char| is_name(it) || it == '.'),
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                rest = after.trim_start();
                if GROUPING.contains(&name) {
                    let list = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
                    let (list, after) = list.ok_or(format!("`{name}` without labels"))?;
                    listed.extend(list.split(',').map(str::trim).filter(|it| !it.is_empty()));
                    rest = after;
                } else if OPERATORS.contains(&name) || is_applied(rest) {
                    // An operator or a function.
                } else if name == FOREIGN {
                    rest = rest.strip_prefix('{').map_or(Ok(rest), after_foreign_labels)?;
                } else {
                    let family = family(name).ok_or(format!("no metric is called `{name}`"))?;
                    labels.extend(family.labels.iter().map(|label| label.name));
                    labels.extend(name.ends_with("_bucket").then_some("le"));
                    if let Some(matchers) = rest.strip_prefix('{') {
                        rest = check_matchers(matchers, family, &labels)?;
                    }
                }
            }
            _ => rest = &rest[first.len_utf8()..],
        }
    }
    for label in listed {
        if !labels.contains(label) {
            return Err(format!("nothing in it has the label `{label}`"));
        }
    }
    Ok(labels)
}

/// Whether what stands before is applied to something: `max(` or `sum by (`.
fn is_applied(rest: &str) -> bool {
    let grouping = GROUPING.iter().find_map(|word| rest.strip_prefix(word));
    grouping.map_or(rest, str::trim_start).starts_with('(')
}

/// The content of a string that is at the front, and what follows.
fn after_string(rest: &str) -> Result<(&str, &str), String> {
    let content = rest.strip_prefix('"').ok_or("a string is missing")?;
    Ok(content.split_once('"').ok_or("a string without an end")?)
}

fn after_foreign_labels(rest: &str) -> Result<&str, String> {
    Ok(rest.split_once('}').ok_or("labels without an end")?.1)
}

fn check_matchers<'a>(
    mut rest: &'a str,
    family: &Family,
    labels: &BTreeSet<&str>,
) -> Result<&'a str, String> {
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        let end = rest.find(['=', '!']).ok_or("a label without a value")?;
        let (name, after) = rest.split_at(end);
        let value = after.trim_start_matches(['=', '!', '~']);
        let is_exact = after.starts_with("=\"") || after.starts_with("!=\"");
        let (value, after) = after_string(value)?;
        let own = family.labels.iter().find(|label| label.name == name);
        if own.is_none() && !(ADDED.contains(&name) || name == "le" && labels.contains("le")) {
            return Err(format!("`{}` has no label `{name}`", family.name));
        }
        if let Some(own) = own.filter(|it| is_exact && !it.values.is_empty())
            && !own.values.contains(&value)
        {
            return Err(format!("`{name}` of `{}` is never \"{value}\"", family.name));
        }
        rest = after;
    }
}

/// The names that a text takes out of a result's labels: `{{name}}` or `$labels.name`.
fn check_words(words: &str, labels: &BTreeSet<&str>) -> Result<(), String> {
    for part in words.split("{{").skip(1) {
        let name = part.split("}}").next().unwrap_or_default().trim();
        let name = name.strip_prefix("$labels.").unwrap_or(name);
        if !name.starts_with("$value") && !labels.contains(name) {
            return Err(format!("`{words}` names the label `{name}`"));
        }
    }
    Ok(())
}

#[test]
fn what_is_wrong_in_an_expression_is_found() {
    for (expression, why) in [
        ("synod_has_leadr == 0", "no metric is called `synod_has_leadr`"),
        ("syond_has_leader == 0", "no metric is called `syond_has_leader`"),
        ("rate(synod_commit_duration_seconds[5m])", "no metric is called `synod_commit_duration"),
        ("synod_has_leader_count", "no metric is called"),
        ("sum by (peer) (synod_has_leader)", "nothing in it has the label `peer`"),
        ("synod_rejects_total{fase=\"1\"}", "`synod_rejects_total` has no label `fase`"),
        ("synod_rejects_total{phase=\"3\"}", "`phase` of `synod_rejects_total` is never \"3\""),
        ("synod_has_leader{le=\"1\"}", "`synod_has_leader` has no label `le`"),
        ("up{job=\"x\" == 1", "labels without an end"),
    ] {
        let error = check(expression).expect_err(expression);
        assert!(error.starts_with(why), "{expression}: {error}");
    }
    let right = "histogram_quantile(0.99, sum by (le, peer) (rate(\
        synod_peer_round_trip_seconds_bucket{job=\"$job\", peer!=\"3\"}[5m]))) > 1e3 and up == 1";
    assert_eq!(check(right), Ok(["instance", "job", "le", "peer"].into()));
    check_words("{{peer}}, {{ $value | humanize }}", &["peer"].into()).expect("right");
    check_words("{{ $labels.pear }}", &["peer"].into()).expect_err("wrong");
}

#[test]
fn alerts_ask_for_what_there_is_and_say_what_to_do() {
    let documents = Yaml::load_from_str(&text("deploy/prometheus/alerts.yaml")).expect("YAML");
    let operating = text("docs/operating.md");
    let headings: BTreeSet<String> = operating
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    let word = |node: &Yaml, key: &str| {
        node.as_mapping_get(key)
            .and_then(Yaml::as_str)
            .unwrap_or_else(|| panic!("no {key}"))
            .to_owned()
    };
    let groups = documents[0].as_mapping_get("groups").and_then(Yaml::as_sequence).expect("groups");
    let rules = groups.iter().flat_map(|group| {
        group.as_mapping_get("rules").and_then(Yaml::as_sequence).expect("rules")
    });
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = word(rule, "alert");
        let labels = check(&word(rule, "expr")).unwrap_or_else(|why| panic!("{name}: {why}"));
        let annotations = rule.as_mapping_get("annotations").expect("annotations");
        check_words(&word(annotations, "summary"), &labels).expect(&name);
        let runbook = word(annotations, "runbook");
        let section = runbook.strip_prefix("docs/operating.md#").expect(&runbook);
        assert!(headings.contains(section), "{name} has no section {section}");
        let severity = word(rule.as_mapping_get("labels").expect("labels"), "severity");
        assert!(["critical", "warning"].contains(&&*severity), "{name}: {severity}");
        assert!(names.insert(name), "each once");
    }
    assert!(names.len() >= 8, "{names:?}");
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/synod.json")).expect("JSON");
    let mut asked = 0;
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}");
        let grid = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        assert!(grid("x") + grid("w") <= 24, "{title} lies on the dashboard");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let labels = check(target["expr"].as_str().expect("an expression"));
            let labels = labels.unwrap_or_else(|why| panic!("{title}: {why}"));
            check_words(target["legendFormat"].as_str().expect("a legend"), &labels).expect(title);
            asked += 1;
        }
    }
    assert!(asked > 20);
    for annotation in dashboard["annotations"]["list"].as_array().expect("annotations") {
        check(annotation["expr"].as_str().expect("an expression")).expect("an annotation");
    }
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        let query = variable["query"]["query"].as_str().unwrap_or_default();
        let Some(query) = query.strip_prefix("label_values(") else { continue };
        let (metric, label) = query.trim_end_matches(')').split_once(", ").expect("two words");
        assert!(family(metric).is_some() && ADDED.contains(&label), "{query}");
    }
}
