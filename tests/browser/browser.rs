//! A real browser of a phone's size, driven over WebDriver. Knows nothing of the pages it is shown.

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long a page may take to become what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a test looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const INSTALL: &str = "chromedriver is missing: apt-get install --yes chromium chromium-driver";

/// A browser with one page of 390 x 844. Ends with all it started when dropped.
pub(crate) struct Browser {
    runtime: Runtime,
    js: bool,
    client: Client,
    driver: Child,
    /// Keeps the driver's output open: it ends when it cannot write.
    _output: BufReader<ChildStdout>,
    profile: PathBuf,
}

impl Browser {
    /// Starts a browser that runs scripts, or does not.
    pub(crate) fn start(js: bool) -> Browser {
        Browser::start_by(Command::new("chromedriver"), js, &[])
    }

    /// The same by this command, which is to become chromedriver, and with these arguments for Chromium besides.
    pub(crate) fn start_by(mut driver: Command, js: bool, more: &[String]) -> Browser {
        let mut driver = driver.arg("--port=0").stdout(Stdio::piped()).spawn().expect(INSTALL);
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let port = port(&mut output);
        let profile = std::env::temp_dir().join(format!("tillgate-browser-{}-{port}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(js, &profile, more));
        let address = format!("http://127.0.0.1:{port}");
        let client =
            runtime.block_on(builder.connect(&address)).expect("chromium starts: apt-get install --yes chromium");
        Browser { runtime, js, client, driver, _output: output, profile }
    }

    /// Opens an address.
    pub(crate) fn open(&self, url: &str) {
        if self.js {
            self.run("window.before = true");
        }
        self.runtime.block_on(self.client.goto(url)).unwrap();
        let loaded = || self.run("return !window.before && document.readyState === 'complete'") == true;
        assert!(!self.js || self.until(loaded), "{url} never loads");
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        self.runtime.block_on(self.client.current_url()).unwrap().to_string()
    }

    /// Whether the page has what `css` finds.
    pub(crate) fn has(&self, css: &str) -> bool {
        self.find(css).is_some()
    }

    /// Waits until the page's visible text has `text` in it.
    pub(crate) fn see(&self, text: &str) {
        let seen = self.until(|| self.body_text().contains(text));
        assert!(seen, "{text:?} never came at {}; there is {:?}", self.url(), self.body_text());
    }

    /// Taps what `css` finds, once it is there.
    pub(crate) fn tap(&self, css: &str) {
        let done = self.until(|| self.find(css).is_some_and(|element| self.runtime.block_on(element.click()).is_ok()));
        assert!(done, "{css} cannot be tapped at {}", self.url());
    }

    /// Types into what `css` finds.
    pub(crate) fn write(&self, css: &str, text: &str) {
        let done =
            self.until(|| self.find(css).is_some_and(|element| self.runtime.block_on(element.send_keys(text)).is_ok()));
        assert!(done, "{css} cannot be typed into at {}", self.url());
    }

    /// Back in the history, as with the phone's key.
    pub(crate) fn back(&self) {
        self.runtime.block_on(self.client.back()).unwrap();
    }

    /// What a script in the page returns.
    pub(crate) fn run(&self, script: &str) -> serde_json::Value {
        self.runtime.block_on(self.client.execute(script, Vec::new())).unwrap()
    }

    /// Leaves a picture in `target/screens/`.
    pub(crate) fn picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screens");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = self.runtime.block_on(self.client.screenshot()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    fn find(&self, css: &str) -> Option<Element> {
        self.runtime.block_on(self.client.find(Locator::Css(css))).ok()
    }

    fn body_text(&self) -> String {
        self.find("body").and_then(|body| self.runtime.block_on(body.text()).ok()).unwrap_or_default()
    }

    /// Looks again until it is so, or until patience ends. A page that is just changing is looked at again.
    fn until(&self, is_so: impl Fn() -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        let mut next_look = self.runtime.block_on(async { tokio::time::interval(LOOK_EVERY) });
        while Instant::now() < end {
            if is_so() {
                return true;
            }
            self.runtime.block_on(next_look.tick());
        }
        false
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

fn port(output: &mut impl BufRead) -> u16 {
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        let found =
            line.trim_end().rsplit_once("on port ").and_then(|(_, port)| port.trim_end_matches('.').parse().ok());
        if let (true, Some(port)) = (line.contains("started successfully"), found) {
            return port;
        }
        line.clear();
    }
    panic!("chromedriver ended at once");
}

fn capabilities(js: bool, profile: &Path, more: &[String]) -> Capabilities {
    let usual = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--lang=en",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let arguments: Vec<&str> = usual.into_iter().chain(more.iter().map(String::as_str)).collect();
    // Without scripts chromedriver never comes back from a tap with a finger; a mouse can do it.
    let scripts = if js { 1 } else { 2 };
    let chrome = serde_json::json!({
        "args": arguments,
        "prefs": { "profile.default_content_setting_values.javascript": scripts },
        "mobileEmulation": {
            "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 2.0, "touch": js },
        },
    });
    // A tap does not wait for the page that follows: the test has to answer the portal's question first.
    let strategy = serde_json::json!("none");
    Capabilities::from_iter([("goog:chromeOptions".to_owned(), chrome), ("pageLoadStrategy".to_owned(), strategy)])
}
