//! Asks the network whether the platform can be reached, and its certificates how long they hold. Pays nothing.

use super::{Finding, odd, well, wrong};
use crate::config::{Config, Platform};
use crate::platform::channel::{Channel, ChannelSettings, SendError, certificate_ends};
use hyper::Method;
use std::error::Error;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a look-up of a name may take: systems try for longer, people do not.
const LOOK_UP: Duration = Duration::from_secs(6);
/// As much of the platform's answer as anybody needs.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A certificate that ends sooner wants somebody's attention.
const SOON_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// Whether the platform's name is known, and where it is not, nothing else is asked. `None`: it is an address.
pub(super) fn name(platform: &Platform) -> Option<Finding> {
    let rest = platform.url.strip_prefix("https://").unwrap_or(&platform.url);
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    if host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let (put, found) = channel();
    let asked = host.to_owned();
    // A look-up cannot be ended: it goes on alone if it takes too long.
    let _ = std::thread::Builder::new().spawn(move || {
        let found = (asked.as_str(), 443).to_socket_addrs().map(|all| all.count());
        let _ = put.send(found);
    });
    let fix = "see whether the box reaches the internet (`ip route`, the shop's router), then: resolvectl query, or \
               /etc/resolv.conf";
    Some(match found.recv_timeout(LOOK_UP) {
        Ok(Ok(count)) if count > 0 => well("names", format!("{host} is found")),
        Ok(Ok(_)) => wrong("names", format!("{host} has no address"), fix),
        Ok(Err(error)) => wrong("names", format!("{host} is not found: {error}"), fix),
        Err(_) => wrong("names", format!("no answer about {host} within {} s", LOOK_UP.as_secs()), fix),
    })
}

/// Whether it answers over the trusted channel: a request that means nothing, and any answer is good.
pub(super) fn platform(platform: &Platform) -> Finding {
    let Platform { url, ca, certificate, key, pins } = platform.clone();
    let settings = ChannelSettings { url, ca_file: ca, certificate_file: certificate, key_file: key, pins };
    let opened = match Channel::open(&settings) {
        Ok(opened) => opened,
        Err(error) => return wrong("platform", error.to_string(), "see [platform] in the configuration"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = match runtime {
        Ok(runtime) => runtime.block_on(opened.call(Method::GET, "/", None, Duration::ZERO, ANSWER_BYTES_MAX)),
        Err(cause) => Err(SendError::NotSent(cause.into())),
    };
    let fix = "see whether the box reaches the internet, whether its clock is right, and whether certificates and pins \
               are the platform's present ones";
    match answer {
        Ok(_) => well("platform", format!("{} answers, and is who it should be", settings.url)),
        Err(SendError::NotSent(why)) => {
            wrong("platform", format!("{} is not reached: {}", settings.url, deepest(why.as_ref())), fix)
        }
        Err(SendError::Unknown(why)) => {
            wrong("platform", format!("{} gives no answer: {}", settings.url, deepest(why.as_ref())), fix)
        }
    }
}

/// What lies at the bottom says most.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut at = error;
    while let Some(deeper) = at.source() {
        at = deeper;
    }
    at.to_string()
}

/// How long each certificate holds.
pub(super) fn certificates(config: &Config) -> Vec<Finding> {
    let mut all = vec![("our certificate", &config.platform.certificate), ("the platform's CA", &config.platform.ca)];
    all.extend(config.portal.secure.as_ref().map(|secure| ("the portal's certificate", &secure.certificate)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    all.into_iter().map(|(what, file)| certificate(what, file, now)).collect()
}

fn certificate(what: &str, file: &Path, now_ms: i64) -> Finding {
    const PART: &str = "certificates";
    let ends = match certificate_ends(file) {
        Ok(ends) => ends.0,
        Err(error) => return wrong(PART, error.to_string(), "put the right file there"),
    };
    let days = ends.saturating_sub(now_ms) / DAY_MS;
    let name = file.display();
    match days {
        _ if ends <= now_ms => {
            let what = format!("{what} ({name}) is over since {} days: nobody can pay", days.saturating_neg());
            wrong(PART, what, "ask whoever made it for a new one; is the date of this box right (`date`)?")
        }
        0..=SOON_DAYS => odd(PART, format!("{what} ({name}) is over in {days} days"), "have it renewed now"),
        _ => well(PART, format!("{what} holds for {days} days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Grade;

    #[test]
    fn a_certificate_is_well_then_odd_then_wrong() {
        let file = std::env::temp_dir().join(format!("tillgate-ends-{}.pem", std::process::id()));
        std::fs::write(&file, rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap().cert.pem())
            .unwrap();
        let ends = certificate_ends(&file).unwrap().0;
        for (before_ms, grade) in [
            (31 * DAY_MS, Grade::Well),
            (30 * DAY_MS, Grade::Odd),
            (1, Grade::Odd),
            (0, Grade::Wrong),
            (-DAY_MS, Grade::Wrong),
        ] {
            let found = certificate("our certificate", &file, ends - before_ms);
            assert_eq!(found.grade, grade, "{before_ms}: {found:?}");
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn an_address_needs_no_look_up_and_a_name_that_nobody_has_is_wrong() {
        let at = |url: &str| Platform {
            url: url.into(),
            ca: "".into(),
            certificate: "".into(),
            key: "".into(),
            pins: vec![],
        };
        assert_eq!(name(&at("https://192.0.2.1:8443")), None);
        assert_eq!(name(&at("https://[::1]:8443")), None);
        assert_eq!(name(&at("https://localhost:1/path")).unwrap().grade, Grade::Well);
        // RFC 6761: never anybody's.
        assert_eq!(name(&at("https://pay.invalid")).unwrap().grade, Grade::Wrong);
    }
}
