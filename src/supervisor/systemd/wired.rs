//! Finds the services around which systemd calls lastwords.

use std::path::Path;

use crate::host::Host;
use crate::supervisor::services::{calls_us, names};
use crate::supervisor::systemd::files::UNITS;
use crate::supervisor::systemd::units;

/// Returns the services with a drop-in, or a line in the unit itself. A drop-in for all services
/// names none.
pub fn services(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    for dir in UNITS {
        for name in names(dir, host) {
            let Some(service) = service_of(&name) else {
                continue;
            };
            if !is_wired(&Path::new(dir).join(&name), host) {
                continue;
            }
            if service.ends_with('@') {
                found.extend(instances(service, host));
            } else {
                found.push(service.to_owned());
            }
        }
    }
    found
}

/// Returns the service of a unit's file or of its drop-in directory, unless it is our own.
fn service_of(name: &str) -> Option<&str> {
    let unit = name.strip_suffix(".d").unwrap_or(name);
    let service = unit.strip_suffix(".service")?;
    let is_ours = ["lastwords", "lastwords@"].contains(&service);
    (!service.ends_with('-') && !is_ours).then_some(service)
}

fn is_wired(path: &Path, host: &Host) -> bool {
    if path.extension().is_none_or(|ending| ending != "d") {
        return calls_us(path, host);
    }
    let files = names(&path.to_string_lossy(), host).into_iter();
    files
        .map(|file| path.join(file))
        .any(|file| calls_us(&file, host))
}

/// Returns the instances of a template that systemd has loaded; the template itself if there are
/// none.
pub fn instances(template: &str, host: &Host) -> Vec<String> {
    let instances = units::instances(&format!("{template}.service"), host);
    if instances.is_empty() {
        vec![template.to_owned()]
    } else {
        instances
    }
}
