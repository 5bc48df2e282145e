//! Asks the network whether the platform can be reached, and certificates how long they hold. Pays nothing.

use super::{Finding, odd, well, wrong};
use crate::clock::Clock;
use crate::config::{Config, Platform, Trust, is_elsewhere};
use crate::control::{self, CertificateState};
use crate::platform::channel::{SendError, certificate_life, is_other_key};
use crate::platform::life::Nearness;
use crate::shop::time::Wall;
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
pub(super) fn name(url: &str) -> Option<Finding> {
    let rest = url.strip_prefix("https://").unwrap_or(url);
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
    if let Trust::Named(named) = &platform.trust
        && [&named.ca, &named.certificate, &named.key].iter().any(|file| is_elsewhere(file))
    {
        let what = "cannot be asked from here: only the service has the credentials for it";
        return odd("platform", what, "start the service, and run this again as root");
    }
    let opened = match platform.channel() {
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
        Ok(_) => well("platform", format!("{} answers, and is who it should be", platform.url)),
        Err(SendError::NotSent(why)) => {
            wrong("platform", format!("{} is not reached: {}", platform.url, deepest(why.as_ref())), fix)
        }
        Err(SendError::Unknown(why)) => {
            wrong("platform", format!("{} gives no answer: {}", platform.url, deepest(why.as_ref())), fix)
        }
    }
}

/// What lies at the bottom says most.
fn deepest(error: &(dyn Error + 'static)) -> String {
    if is_other_key(error) {
        return "the platform's key is not pinned".to_owned();
    }
    let mut at = error;
    while let Some(deeper) = at.source() {
        at = deeper;
    }
    at.to_string()
}

/// How this box's certificate stands, as a daemon would say it.
pub(super) fn own_certificate(platform: &Platform) -> control::Certificate {
    let Ok(life) = platform.life() else { return control::Certificate::default() };
    let state = match life.nearness(Wall(now_ms())) {
        _ if !Clock::judges_certificates() => CertificateState::Unknown,
        Nearness::Far => CertificateState::Good,
        Nearness::Near => CertificateState::Ending,
        Nearness::Over => CertificateState::Ended,
    };
    let text = |at: Wall| jiff::Timestamp::from_millisecond(at.0).ok().map(|at| at.to_string());
    let renews_at = match &platform.trust {
        Trust::Named(_) => None,
        Trust::Enrolled(..) => text(life.renew_at(0)),
    };
    control::Certificate { state, until: text(life.until), renews_at, failing: None }
}

/// How long the certificates of others hold, as far as they are files of ours.
pub(super) fn certificates(config: &Config) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Trust::Named(named) = &config.platform.trust {
        all.push(("the platform's CA", &named.ca));
    }
    all.extend(config.portal.secure.as_ref().map(|secure| ("the portal's certificate", &secure.certificate)));
    let now = now_ms();
    all.retain(|(_, file)| !is_elsewhere(file));
    all.into_iter().map(|(what, file)| certificate(what, file, now)).collect()
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(now).unwrap_or(i64::MAX)
}

fn certificate(what: &str, file: &Path, now_ms: i64) -> Finding {
    const PART: &str = "certificates";
    let ends = match certificate_life(file) {
        Ok(life) => life.until.0,
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
        let ends = certificate_life(&file).unwrap().until.0;
        for (before_ms, grade) in [
            (31 * DAY_MS, Grade::Well),
            (30 * DAY_MS, Grade::Odd),
            (1, Grade::Odd),
            (0, Grade::Wrong),
            (-DAY_MS, Grade::Wrong),
        ] {
            let found = certificate("the portal's certificate", &file, ends - before_ms);
            assert_eq!(found.grade, grade, "{before_ms}: {found:?}");
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn an_address_needs_no_look_up_and_a_name_that_nobody_has_is_wrong() {
        assert_eq!(name("https://192.0.2.1:8443"), None);
        assert_eq!(name("https://[::1]:8443"), None);
        assert_eq!(name("https://localhost:1/path").unwrap().grade, Grade::Well);
        // RFC 6761: never anybody's.
        assert_eq!(name("https://pay.invalid").unwrap().grade, Grade::Wrong);
    }
}
