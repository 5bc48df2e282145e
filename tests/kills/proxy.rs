//! A TCP proxy that cuts, stalls and half-closes connections. Sees no plain text: it goes by bytes and time.

use crate::dice::Dice;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Bytes after which a fault comes: a handshake and some calls.
const FAULT_BYTES: u64 = 16_000;
const PIECE_BYTES: usize = 1_024;
const STALL_MS_MAX: u64 = 6_000;

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Passes,
    /// Closed when it comes.
    Refused,
    /// Cut after so many bytes of the shop: the platform has part of a request, or all of it and its answer is lost.
    CutTo,
    /// Cut in the middle of an answer.
    CutFrom,
    StallsTo,
    StallsFrom,
    /// One direction is closed in order, the other stays open.
    HalfClosesTo,
    HalfClosesFrom,
}

const FATES: &[(u64, Fate)] = &[
    (50, Fate::Passes),
    (8, Fate::Refused),
    (12, Fate::CutTo),
    (12, Fate::CutFrom),
    (6, Fate::StallsTo),
    (6, Fate::StallsFrom),
    (3, Fate::HalfClosesTo),
    (3, Fate::HalfClosesFrom),
];

/// The proxy. It ends with its runtime.
pub(crate) struct Proxy {
    pub(crate) at: SocketAddr,
    calm: Arc<AtomicBool>,
    cut: watch::Sender<u64>,
    pub(crate) faults: Arc<AtomicU64>,
    pub(crate) connections: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) fn start(handle: &Handle, to: SocketAddr, dice: Dice) -> Proxy {
        let listener = handle.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let at = listener.local_addr().unwrap();
        let (cut, cuts) = watch::channel(0);
        let calm = Arc::new(AtomicBool::new(true));
        let (faults, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (quiet, seen, all) = (Arc::clone(&calm), Arc::clone(&faults), Arc::clone(&connections));
        let dice = Mutex::new(dice);
        handle.spawn(async move {
            while let Ok((shop, _)) = listener.accept().await {
                let mut dice = dice.lock().unwrap().split();
                let fate = if quiet.load(Ordering::SeqCst) { Fate::Passes } else { dice.pick(FATES) };
                all.fetch_add(1, Ordering::Relaxed);
                seen.fetch_add(u64::from(!matches!(fate, Fate::Passes)), Ordering::Relaxed);
                tokio::spawn(carry(shop, to, fate, dice, cuts.clone()));
            }
        });
        Proxy { at, calm, cut, faults, connections }
    }

    /// Whether connections from now on pass as they are.
    pub(crate) fn calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
    }

    /// Cuts all connections that there are.
    pub(crate) fn cut_all(&self) {
        self.cut.send_modify(|n| *n += 1);
    }
}

async fn carry(shop: TcpStream, to: SocketAddr, fate: Fate, mut dice: Dice, mut cuts: watch::Receiver<u64>) {
    if matches!(fate, Fate::Refused) {
        return reset(shop);
    }
    let Ok(platform) = TcpStream::connect(to).await else { return reset(shop) };
    cuts.mark_unchanged();
    let after = dice.within(0, FAULT_BYTES);
    let stall = Duration::from_millis(dice.within(50, STALL_MS_MAX));
    let (to_fate, from_fate) = match fate {
        Fate::Passes | Fate::Refused => (End::None, End::None),
        Fate::CutTo => (End::Cut, End::None),
        Fate::CutFrom => (End::None, End::Cut),
        Fate::StallsTo => (End::Stall(stall), End::None),
        Fate::StallsFrom => (End::None, End::Stall(stall)),
        Fate::HalfClosesTo => (End::Close, End::None),
        Fate::HalfClosesFrom => (End::None, End::Close),
    };
    let (mut from_shop, mut to_shop) = shop.into_split();
    let (mut from_platform, mut to_platform) = platform.into_split();
    let there = pass(&mut from_shop, &mut to_platform, after, to_fate);
    let back = pass(&mut from_platform, &mut to_shop, after, from_fate);
    let both = async {
        tokio::pin!(there, back);
        tokio::select! {
            cut = &mut there => if !cut { back.await; },
            cut = &mut back => if !cut { there.await; },
        }
    };
    tokio::select! {
        () = both => {}
        _ = cuts.changed() => {}
    }
}

/// What happens to one direction after some bytes.
enum End {
    None,
    Cut,
    Stall(Duration),
    Close,
}

/// Passes one direction on to its end. True: the connection is to be cut.
async fn pass(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    after: u64,
    end: End,
) -> bool {
    let mut left = after;
    let mut end = Some(end);
    let mut piece = [0; PIECE_BYTES];
    loop {
        let count = match from.read(&mut piece).await {
            Ok(0) => return to.shutdown().await.is_err(),
            Ok(count) => count,
            Err(_) => return true,
        };
        let bytes = u64::try_from(count).unwrap();
        let due = bytes > left && !matches!(end, None | Some(End::None));
        let before = if due { usize::try_from(left).unwrap() } else { count };
        if to.write_all(&piece[..before]).await.is_err() {
            return true;
        }
        left = left.saturating_sub(bytes);
        if !due {
            continue;
        }
        match end.take() {
            Some(End::Cut) => return true,
            Some(End::Close) => return to.shutdown().await.is_err(),
            Some(End::Stall(time)) => rest(time).await,
            Some(End::None) | None => {}
        }
        if to.write_all(&piece[before..count]).await.is_err() {
            return true;
        }
    }
}

async fn rest(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// Closes without a word: the other side hears a reset.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}
