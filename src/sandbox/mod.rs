//! A payment platform to try things on: speaks the Counter Payment Protocol, has a hosted checkout, accounts and fault
//! switches. Holds no real money and knows nothing of the gateway.

mod admin;
mod api;
pub mod authority;
mod books;
mod checkout;
mod enrolment;
mod fault;
mod listen;
mod payment;
mod rows;
mod wire;

pub use books::{ACCOUNTS, BookLine, PASSWORD, Times, books};
pub use enrolment::certificates_given;
pub use fault::{Fault, FaultKind, FaultyCall};

use authority::Certificates;
use clap::Args;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Longest time between two requests of a browser's connection.
const BROWSER_IDLE: Duration = Duration::from_secs(20);

/// What a sandbox is started with.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// Its SQLite file; made if it is not there.
    pub db_file: PathBuf,
    /// Where it speaks the protocol. Port 0: any.
    pub api_listen: SocketAddr,
    /// Where boxes that have no certificate yet enrol.
    pub enrol_listen: SocketAddr,
    /// Where customers pay.
    pub public_listen: SocketAddr,
    /// Where the admin page is. It has no sign-in.
    pub admin_listen: SocketAddr,
    /// What boxes that enrol are told to call; `None`: `https://` and the address that was bound.
    pub api_url: Option<String>,
    /// What checkout links begin with; `None`: `http://` and the address that was bound.
    pub public_url: Option<String>,
    /// The certificates.
    pub certificates: Certificates,
    /// How long things take.
    pub times: Times,
    /// The one origin that may show the checkout in a frame. Set by the demo only, never by configuration.
    pub allow_framing: Option<String>,
}

impl SandboxSettings {
    /// Everything in this directory and on loopback at any port; certificates must be there already.
    pub fn within(dir: &Path, certificates: Certificates) -> SandboxSettings {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        SandboxSettings {
            db_file: dir.join("sandbox.db"),
            api_listen: any,
            enrol_listen: any,
            public_listen: any,
            admin_listen: any,
            api_url: None,
            public_url: None,
            certificates,
            times: Times::default(),
            allow_framing: None,
        }
    }
}

/// Why the sandbox does not run: a person must do what the text says.
#[derive(Debug)]
pub enum SandboxError {
    /// A file cannot be used.
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be used.
    Database {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A certificate cannot be made or used.
    Certificate(Box<dyn std::error::Error + Send + Sync>),
    /// An address cannot be listened at.
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There are no certificates yet.
    NoCertificates(PathBuf),
    /// Threads, signals or the runtime cannot be had.
    Runtime(io::Error),
}

impl SandboxError {
    fn file(file: &Path, source: io::Error) -> SandboxError {
        SandboxError::File { file: file.to_owned(), source }
    }

    fn database(file: &Path, source: rusqlite::Error) -> SandboxError {
        SandboxError::Database { file: file.to_owned(), source }
    }

    fn certificate(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SandboxError {
        SandboxError::Certificate(source.into())
    }
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxError::File { file, source } => {
                write!(f, "cannot use {}: {source}; check that it is there and who owns it", file.display())
            }
            SandboxError::Database { file, source } => {
                write!(f, "cannot use the database {}: {source}; move it away to begin anew", file.display())
            }
            SandboxError::Certificate(source) => {
                write!(f, "certificates cannot be used: {source}; delete them and start with --make-certificates")
            }
            SandboxError::Listen { address, source } => {
                write!(f, "cannot listen at {address}: {source}; choose another address")
            }
            SandboxError::NoCertificates(dir) => {
                write!(f, "no certificates in {}: add --make-certificates", dir.display())
            }
            SandboxError::Runtime(source) => write!(f, "the system refuses threads or signals: {source}"),
        }
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SandboxError::File { source, .. } | SandboxError::Listen { source, .. } | SandboxError::Runtime(source) => {
                Some(source)
            }
            SandboxError::Database { source, .. } => Some(source),
            SandboxError::Certificate(source) => Some(source.as_ref()),
            SandboxError::NoCertificates(_) => None,
        }
    }
}

/// A sandbox that runs. Dropping it ends it, and all connections at once.
#[derive(Debug)]
pub struct Sandbox {
    /// Where it speaks the protocol.
    pub api: SocketAddr,
    /// Where boxes that have no certificate yet enrol.
    pub enrol: SocketAddr,
    /// Where customers pay.
    pub public: SocketAddr,
    /// Where the admin page is.
    pub admin: SocketAddr,
    switches: admin::Admin,
    tasks: Vec<JoinHandle<()>>,
    keeper: Option<thread::JoinHandle<()>>,
}

impl Sandbox {
    /// Starts it on this runtime; returns once all three listeners are bound.
    pub fn start(handle: &Handle, settings: SandboxSettings) -> Result<Sandbox, SandboxError> {
        let bind = |address| listen::bind(address).map_err(|source| SandboxError::Listen { address, source });
        let (api, public) = (bind(settings.api_listen)?, bind(settings.public_listen)?);
        let enrol = bind(settings.enrol_listen)?;
        let admin = bind(settings.admin_listen)?;
        let address = |of: &std::net::TcpListener| of.local_addr().map_err(SandboxError::Runtime);
        let (api_at, public_at, admin_at) = (address(&api)?, address(&public)?, address(&admin)?);
        let enrol_at = address(&enrol)?;
        let public_url = settings.public_url.unwrap_or_else(|| format!("http://{public_at}"));
        let public_url = public_url.trim_end_matches('/').to_owned();
        let tls = api::Tls::load(&settings.certificates)?;
        let office = Arc::new(enrolment::Office::open(&settings.certificates)?);
        let (books, keeper) = books::Books::open(&settings.db_file, settings.times)?;

        let (close_all, closings) = mpsc::channel(1);
        let pin = settings.certificates.platform.pin;
        let switches = admin::Admin { books: books.clone(), close_all, public_url: public_url.clone(), pin };
        let pages = checkout::routes(checkout::Checkout { books: books.clone(), framed_by: settings.allow_framing });
        let api_url = settings.api_url.unwrap_or_else(|| format!("https://{api_at}"));
        let speaker = Arc::new(api::Api { books, times: settings.times, public_url, api_url, tls, office });
        let greeter = Arc::clone(&speaker);
        let _inside = handle.enter();
        let take_over = |of| TcpListener::from_std(of).map_err(SandboxError::Runtime);
        let tasks = vec![
            handle.spawn(listen::accept(take_over(api)?, closings, move |tcp| {
                api::serve(Arc::clone(&speaker), tcp, api::Side::Known)
            })),
            handle.spawn(serve_strangers(take_over(enrol)?, greeter)),
            handle.spawn(serve_pages(take_over(public)?, pages)),
            handle.spawn(serve_pages(take_over(admin)?, admin::routes(switches.clone()))),
        ];
        Ok(Sandbox {
            api: api_at,
            enrol: enrol_at,
            public: public_at,
            admin: admin_at,
            switches,
            tasks,
            keeper: Some(keeper),
        })
    }

    /// Sets a fault switch. False if there is no such fault for that call, or the sandbox cannot do it now.
    pub async fn switch(&self, fault: Fault) -> bool {
        admin::set(&self.switches, fault).await.is_ok()
    }

    /// A new code with which a box can enrol, once. `None` if the sandbox cannot do it now.
    pub async fn code(&self) -> Option<String> {
        admin::new_code(&self.switches).await.ok()
    }

    /// Ends it and waits until nothing of it is left, so that its file and its addresses are free.
    pub async fn stop(mut self) {
        let keeper = self.keeper.take();
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // It ends by being aborted, which is an error here and nowhere else.
            let _ = task.await;
        }
        drop(self);
        if let Some(keeper) = keeper {
            let _ = tokio::task::spawn_blocking(|| keeper.join()).await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn serve_strangers(listener: TcpListener, api: Arc<api::Api>) {
    // Held to the end: no switch closes these connections.
    let (_never, closings) = mpsc::channel(1);
    listen::accept(listener, closings, move |tcp| api::serve(Arc::clone(&api), tcp, api::Side::Stranger)).await;
}

async fn serve_pages(listener: TcpListener, pages: axum::Router) {
    // Held to the end: nobody closes a browser's connections.
    let (_never, closings) = mpsc::channel(1);
    let serve = move |tcp| {
        let service = hyper_util::service::TowerToHyperService::new(pages.clone());
        async move {
            let done = hyper::server::conn::http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(BROWSER_IDLE)
                .serve_connection(hyper_util::rt::TokioIo::new(tcp), service)
                .await;
            if let Err(error) = done {
                tracing::debug!(%error, "a browser's connection ended");
            }
        }
    };
    listen::accept(listener, closings, serve).await;
}

/// Runs a payment platform to try things on; no real money
#[derive(Args, Clone, Debug)]
pub struct SandboxArgs {
    /// Where the sandbox keeps its books and certificates
    #[arg(long, value_name = "DIR", default_value = "tillgate-sandbox")]
    pub dir: PathBuf,
    /// Where it speaks the Counter Payment Protocol
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7443")]
    pub api: SocketAddr,
    /// What boxes that enrol are told to call, if they reach the sandbox at another address than --api
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// Where boxes enrol that have no certificate yet
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7444")]
    pub enrol: SocketAddr,
    /// How long the certificate of a box that has enrolled counts
    #[arg(long, value_name = "SECONDS", default_value_t = Times::default().certificate_secs)]
    #[arg(value_parser = clap::value_parser!(u32).range(5..=100_000_000))]
    pub certificate_secs: u32,
    /// Where customers pay
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080")]
    pub public: SocketAddr,
    /// What checkout links begin with, if phones reach the sandbox at another address than --public
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Where the admin page is; it has no sign-in, so keep it on loopback
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7081")]
    pub admin: SocketAddr,
    /// Make certificates for platform and box if there are none yet
    #[arg(long)]
    pub make_certificates: bool,
}

/// Runs a sandbox until it is told to stop by SIGINT or SIGTERM. Prints what runs where.
pub fn run(args: SandboxArgs) -> Result<(), SandboxError> {
    let tls_dir = args.dir.join("tls");
    let certificates = match (tls_dir.join("ca.pem").exists(), args.make_certificates) {
        (true, _) => Certificates::load(&tls_dir)?,
        (false, true) => Certificates::create(&tls_dir)?,
        (false, false) => return Err(SandboxError::NoCertificates(tls_dir)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(SandboxError::Runtime)?;
    let settings = SandboxSettings {
        api_listen: args.api,
        enrol_listen: args.enrol,
        api_url: args.api_url,
        times: Times { certificate_secs: args.certificate_secs, ..Times::default() },
        public_listen: args.public,
        admin_listen: args.admin,
        public_url: args.public_url,
        ..SandboxSettings::within(&args.dir, certificates.clone())
    };
    runtime.block_on(async {
        let sandbox = Sandbox::start(&Handle::current(), settings)?;
        let code = sandbox.code().await.unwrap_or_default();
        let text = greeting(&sandbox, &certificates, &code);
        // Nobody may be reading; the sandbox runs all the same.
        let _ = io::Write::write_all(&mut io::stdout(), text.as_bytes());
        let mut stop = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        poll_fn(|cx| {
            let told = |s: &mut io::Result<_>| match s {
                Ok(signal) => tokio::signal::unix::Signal::poll_recv(signal, cx).is_ready(),
                Err(_) => false,
            };
            if stop.iter_mut().any(told) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        sandbox.stop().await;
        Ok(())
    })
}

fn greeting(sandbox: &Sandbox, certificates: &Certificates, code: &str) -> String {
    let accounts: String = ACCOUNTS.iter().map(|(name, does, _)| format!("  {name:<6} {does}\n")).collect();
    let pin: String = certificates.platform.pin.iter().map(|b| format!("{b:02x}")).collect();
    let whole = |file: &Path| std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    format!(
        "Sandbox platform (no real money)\n  protocol  https://{}\n  checkout  http://{}\n  admin     http://{}\n\n\
         Accounts, all with the password {PASSWORD:?}; a wrong one fails the try, the third the payment:\n{accounts}\n\
         To enrol a box, within an hour (the admin page has more codes):\n\n  \
         tillgate enroll https://{} {code}\n\n\
         Or, without enrolling, in tillgate.toml:\n\n[platform]\nurl = \"https://{}\"\nca = {:?}\ncertificate = {:?}\nkey = {:?}\n\
         pins = [\"{pin}\"]\n",
        sandbox.api,
        sandbox.public,
        sandbox.admin,
        sandbox.enrol,
        sandbox.api,
        whole(&certificates.ca),
        whole(&certificates.shop_box.certificate),
        whole(&certificates.shop_box.key),
    )
}
