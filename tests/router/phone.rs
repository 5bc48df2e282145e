//! A customer's phone without a screen: its address and resolver are as DHCP said, its pages are loaded by curl.

use super::bed::{Bed, OWN_SIX, PATIENCE, said};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};
use tillgate::demo::visitor::Visitor;

/// What came back to one request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in small letters.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// Nothing did: curl's number for why, and after how long.
#[derive(Debug)]
pub(super) struct Nothing {
    pub(super) why: i32,
    pub(super) after: Duration,
}

/// curl's number for a connection that was refused.
pub(super) const REFUSED: i32 = 7;

/// What a phone asks again and again it has looked up before; else it would soon have asked for as many names as one may.
const BY_HEART: [&str; 4] =
    ["--resolve", "pay.shop.example:443:192.168.50.1", "--resolve", "connectivitycheck.gstatic.com:80:198.51.100.80"];
const BY_HEART_SIX: [&str; 4] = [
    "--resolve",
    "pay.shop.example:443:[fd12:3456:789a:50::1]",
    "--resolve",
    "connectivitycheck.gstatic.com:80:[2001:db8:77::80]",
];

/// A phone that has joined.
pub(super) struct Phone<'b> {
    pub(super) bed: &'b Bed,
    pub(super) place: &'static str,
    pub(super) ip: Ipv4Addr,
    /// The page that is open.
    pub(super) page: Visitor,
    /// It asks nobody anything by version 4.
    six: bool,
}

impl<'b> Phone<'b> {
    /// Takes a lease.
    pub(super) fn joins(bed: &'b Bed, place: &'static str) -> Phone<'b> {
        let ip = bed.lease(place, &["114"])["ip"].parse().unwrap();
        Phone { bed, place, ip, page: Visitor::new("en"), six: false }
    }

    /// Takes a lease, makes itself an address by version 6, and uses that for all that it says, names included.
    pub(super) fn joins_by_six(bed: &'b Bed, place: &'static str) -> Phone<'b> {
        let phone = Phone { six: true, ..Phone::joins(bed, place) };
        bed.settles(place);
        std::fs::write(bed.resolv_conf(place), format!("nameserver {OWN_SIX}\n")).unwrap();
        phone
    }

    fn by_heart(&self) -> &'static [&'static str] {
        if self.six { &BY_HEART_SIX } else { &BY_HEART }
    }

    /// curl on the phone, which trusts whoever the bed's authority signed.
    fn curl(&self, args: &[&str]) -> Command {
        let mut command = self.bed.with_names(self.place, "exec curl \"$@\"");
        command.args(["-sS", "--max-time", "10", "--cacert"]).arg(self.bed.folder.join("ca.pem"));
        command.arg(if self.six { "-6" } else { "-4" }).args(args);
        command
    }

    /// One request with these arguments of curl, and nothing is followed.
    pub(super) fn asks(&self, url: &str, more: &[&str]) -> Result<Answer, Nothing> {
        let since = Instant::now();
        let output = self.curl(&["-i", "-H", "Connection: close", url]).args(more).output().unwrap();
        if !output.status.success() {
            return Err(Nothing { why: output.status.code().unwrap(), after: since.elapsed() });
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Ok(Answer { status, headers, body: body.to_owned() })
    }

    /// What the portal's API says of this phone; it is asked where DHCP said.
    pub(super) fn is_captive(&self) -> bool {
        let answer = self.asks(
            "https://pay.shop.example/capport",
            &[self.by_heart(), &["-H", "Accept: application/captive+json"]].concat(),
        );
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "application/captive+json"));
        assert_eq!(answer.headers["cache-control"], "private, no-store");
        let left = answer.body.contains("\"seconds-remaining\":");
        match answer.body.split_once(",\"user-portal-url\":\"https://pay.shop.example/\"") {
            Some((r#"{"captive":true"#, _)) if !left => true,
            Some((r#"{"captive":false"#, _)) if left => false,
            _ => panic!("{answer:?}"),
        }
    }

    /// Whether a system that asks like Android takes this network for the internet.
    pub(super) fn is_online(&self) -> bool {
        match self
            .asks("http://connectivitycheck.gstatic.com/generate_204", self.by_heart())
            .map(|answer| answer.status)
        {
            Ok(204) => true,
            Ok(302) => false,
            other => panic!("{other:?}"),
        }
    }

    /// Loads a page, with whatever it leads to.
    pub(super) fn opens(&mut self, url: &str) {
        self.loads(&[url]);
    }

    /// Sends the form whose action ends with `action`.
    pub(super) fn sends(&mut self, action: &str, fields: &[(&str, &str)]) {
        let (path, body) = self.page.filled(action, fields).unwrap();
        let url = self.at(&path);
        self.loads(&["--data", &body, &url]);
    }

    /// Loads its page again until it is so.
    pub(super) fn until(&mut self, what: &str, is: impl Fn(&Visitor) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is(&self.page) {
            assert!(Instant::now() < end, "{what}: not at {}: {}", self.page.at, self.page.page);
            let url = self.page.at.to_string();
            self.opens(&url);
        }
    }

    /// A path of the open page's host.
    pub(super) fn at(&self, path: &str) -> String {
        let host = self.page.at.authority().unwrap();
        format!("https://{host}{path}")
    }

    fn loads(&mut self, args: &[&str]) {
        let jar = self.bed.folder.join(format!("cookies-{}", self.place));
        let output = self
            .curl(&["-L", "-w", "\n%{http_code} %{url_effective}", "-H", "Accept-Language: en"])
            .arg("-b")
            .arg(&jar)
            .arg("-c")
            .arg(&jar)
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let (page, end) = text.rsplit_once('\n').unwrap();
        let (status, url) = end.split_once(' ').unwrap();
        assert!(status.starts_with('2'), "{url}: {status}: {page}");
        (self.page.at, self.page.page) = (url.parse().unwrap(), page.to_owned());
    }
}
