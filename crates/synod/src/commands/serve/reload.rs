//! SIGHUP: reads the configuration again, changes what can be changed while the node runs, and says
//! what cannot.

use std::collections::BTreeMap;

use server::config::{Layers, Resolved, Setting};

use super::logging::Logging;

/// What a node started from, and what can be changed of it.
pub(super) struct Reloader {
    layers: Layers,
    /// As they are in force.
    settings: Vec<Setting>,
    logging: Logging,
}

/// A value that differs from the one in force. None is not set, then or now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Changed {
    name: String,
    from: Option<String>,
    to: Option<String>,
    reloads: bool,
}

impl Reloader {
    pub(super) fn new(layers: Layers, resolved: Resolved, logging: Logging) -> Reloader {
        Reloader { layers, settings: resolved.settings, logging }
    }

    /// Reads again. What is wrong or cannot be changed is logged, and the node goes on as it was.
    pub(super) fn reload(&mut self) {
        let resolved = match self.layers.resolve() {
            Ok(resolved) => resolved,
            Err(error) => {
                tracing::error!(%error, "not reloaded: the configuration is wrong");
                return;
            }
        };
        if let Err(error) = self.logging.change(&resolved.config.log) {
            tracing::error!(error = error.message, "not reloaded: the configuration is wrong");
            return;
        }
        for Changed { name, from, to, reloads } in changes(&self.settings, &resolved.settings) {
            let (from, to) = (from.as_deref().unwrap_or("-"), to.as_deref().unwrap_or("-"));
            if reloads {
                tracing::info!(key = name, from, to, "changed");
            } else {
                tracing::warn!(key = name, from, to, "not changed: restart the node for that");
            }
        }
        // What waits for a restart is not in force, and is said again the next time.
        let kept = self.settings.iter().filter(|it| !it.reloads).cloned();
        let changed = resolved.settings.into_iter().filter(|it| it.reloads);
        self.settings = kept.chain(changed).collect();
        tracing::info!("reloaded");
    }
}

fn changes(before: &[Setting], after: &[Setting]) -> Vec<Changed> {
    let by_name = |settings: &[Setting]| -> BTreeMap<String, (String, bool)> {
        settings.iter().map(|it| (it.name.clone(), (it.value.clone(), it.reloads))).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let changed = |name: &String| {
        let (from, to) = (before.get(name), after.get(name));
        let reloads = from.or(to)?.1;
        let value = |it: Option<&(String, bool)>| it.map(|(value, _)| value.clone());
        let (from, to) = (value(from), value(to));
        (from != to).then(|| Changed { name: name.clone(), from, to, reloads })
    };
    names.filter_map(changed).collect()
}

#[cfg(test)]
mod tests {
    use server::config::Origin;

    use super::*;

    #[test]
    fn only_what_differs_is_a_change_whoever_says_it() {
        let setting = |name: &str, value: &str, reloads| Setting {
            name: name.to_owned(),
            value: value.to_owned(),
            origin: if reloads { Origin::Default } else { Origin::Variable("SYNOD_ID") },
            reloads,
        };
        let before = [setting("log.level", "info", true), setting("id", "1", false)];
        let after = [setting("id", "1", true), setting("listen", "::", false)];
        let changed = |name: &str, from: Option<&str>, to: Option<&str>, reloads| Changed {
            name: name.to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            reloads,
        };
        assert_eq!(
            changes(&before, &after),
            [
                changed("log.level", Some("info"), None, true),
                changed("listen", None, Some("::"), false),
            ]
        );
    }
}
