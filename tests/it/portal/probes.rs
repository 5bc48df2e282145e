//! What phones' systems ask to find out whether they are captive, and what they hear if they are not. Asks nobody.

use Real::{Holds, NoContent, Page, Text};

/// What the real server answers, which a system takes for the internet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Real {
    /// 204, without a body.
    NoContent,
    /// 200, with exactly this body.
    Text(&'static str),
    /// 200, with this in its body.
    Holds(&'static str),
    /// A page for people: the system opens it when it has found a portal.
    Page,
}

const APPLE: &str = "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>";
const APPLE_LINE: &str = "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>\n";
const FIREFOX: &str = "<meta http-equiv=\"refresh\" content=\"0;url=https://support.mozilla.org/kb/captive-portal\"/>";
const ARCH: &str = "This domain is used for connectivity checking (captive portal detection).\n";

/// Every system's question, by host and path, and what it wants to hear; a line that goes is a phone that finds no portal.
pub(super) const PROBES: &[(&str, &str, &str, Real)] = &[
    ("iOS, macOS", "captive.apple.com", "/hotspot-detect.html", Text(APPLE_LINE)),
    ("iOS, macOS", "captive.apple.com", "/", Text(APPLE_LINE)),
    ("iOS, macOS", "www.apple.com", "/library/test/success.html", Text(APPLE)),
    ("older iOS", "www.appleiphonecell.com", "/library/test/success.html", Text(APPLE_LINE)),
    ("older iOS", "www.airport.us", "/library/test/success.html", Text(APPLE_LINE)),
    ("older iOS", "www.ibook.info", "/library/test/success.html", Text(APPLE_LINE)),
    ("older iOS", "www.itools.info", "/library/test/success.html", Text(APPLE_LINE)),
    ("older iOS", "www.thinkdifferent.us", "/library/test/success.html", Text(APPLE_LINE)),
    ("iOS", "netcts.cdn-apple.com", "/", Text(APPLE_LINE)),
    ("Android", "connectivitycheck.gstatic.com", "/generate_204", NoContent),
    ("Android", "www.google.com", "/generate_204", NoContent),
    ("Android", "www.google.com", "/gen_204", NoContent),
    ("Android", "play.googleapis.com", "/generate_204", NoContent),
    ("older Android, ChromeOS", "clients3.google.com", "/generate_204", NoContent),
    ("older Android, ChromeOS", "connectivitycheck.android.com", "/generate_204", NoContent),
    ("older Android, ChromeOS", "www.gstatic.com", "/generate_204", NoContent),
    ("Samsung", "connectivity.samsung.com.cn", "/generate_204", NoContent),
    ("Xiaomi", "connect.rom.miui.com", "/generate_204", NoContent),
    ("Huawei", "connectivitycheck.platform.hicloud.com", "/generate_204", NoContent),
    ("Huawei", "connectivitycheck.cbg-app.huawei.com", "/generate_204", NoContent),
    ("Honor", "connectivitycheck.platform.hihonorcloud.com", "/generate_204", NoContent),
    ("OPPO, OnePlus, realme", "conn1.oppomobile.com", "/generate_204", NoContent),
    ("OPPO, OnePlus, realme", "conn2.oppomobile.com", "/generate_204", NoContent),
    ("OPPO, OnePlus, realme", "www.google.cn", "/generate_204", NoContent),
    ("OPPO, OnePlus, realme", "developers.google.cn", "/generate_204", NoContent),
    ("vivo", "wifi.vivo.com.cn", "/generate_204", NoContent),
    ("others in China", "www.qualcomm.cn", "/generate_204", NoContent),
    ("others in China", "g.cn", "/generate_204", NoContent),
    ("others in China", "captive.v2ex.co", "/generate_204", NoContent),
    ("Windows 10, 11", "www.msftconnecttest.com", "/connecttest.txt", Text("Microsoft Connect Test")),
    ("Windows 10, 11", "ipv6.msftconnecttest.com", "/connecttest.txt", Text("Microsoft Connect Test")),
    ("Windows 10, 11", "www.msftconnecttest.com", "/redirect", Page),
    ("Windows 7, 8", "www.msftncsi.com", "/ncsi.txt", Text("Microsoft NCSI")),
    ("Edge", "edge-http.microsoft.com", "/captiveportal/generate_204", NoContent),
    ("Firefox", "detectportal.firefox.com", "/canonical.html", Text(FIREFOX)),
    ("Firefox", "detectportal.firefox.com", "/success.txt?ipv4", Text("success\n")),
    ("Firefox", "detectportal.firefox.com", "/success.txt?ipv6", Text("success\n")),
    ("Debian", "network-test.debian.org", "/nm", Text("NetworkManager is online\n")),
    ("GNOME", "nmcheck.gnome.org", "/check_network_status.txt", Text("NetworkManager is online")),
    ("Ubuntu", "connectivity-check.ubuntu.com", "/", NoContent),
    ("Fedora", "fedoraproject.org", "/static/hotspot.txt", Text("OK")),
    ("Arch", "ping.archlinux.org", "/", Text(ARCH)),
    ("KDE", "networkcheck.kde.org", "/", Text("OK")),
    (
        "Kindle",
        "spectrum.s3.amazonaws.com",
        "/kindle-wifi/wifistub.html",
        Holds("81ce4465-7167-4dcb-835b-dcc9e44c112a"),
    ),
    (
        "Kindle",
        "spectrum.s3.amazonaws.com",
        "/kindle-wifi/wifistub-eink.html",
        Holds("81ce4465-7167-4dcb-835b-dcc9e44c112a"),
    ),
    ("Kindle", "spectrum.s3.amazonaws.com", "/kindle-wifi/wifiredirect.html", Page),
    ("anything", "anything.example:8080", "/s/0123456789abcdef0123456789abcdef/", Page),
];
