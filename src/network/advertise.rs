//! Tells guests' phones by version 6 who their router is, and where the portal's API (RFC 8910): the part of a router that
//! neither dnsmasq, radvd nor systemd-networkd of Debian 12 can do. Knows no payment, changes nothing on this machine.

mod bridge;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod message;
mod pace;

use super::netlink;
use super::rights::{self, Kept};
use super::settings::NetworkSettings;
use crate::clock::Clock;
use bridge::Bridge;
use ipnet::Ipv6Net;
use message::{Advert, Asker};
use pace::{Pace, To};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};
use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// All that hear version 6, and all routers (RFC 4291 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// What has come so far over no router: nobody believes anything else (RFC 4861 6.1).
const HOPS: u8 = 255;
/// `RTMGRP_LINK` and `RTMGRP_IPV6_IFADDR`: when the bridge may have changed.
const CHANGES: u32 = 0x001 | 0x100;
/// How long nothing is tried again that went wrong.
const PAUSE: Duration = Duration::from_secs(5);
/// Who asks is taken down so many at a time before somebody is answered.
const TURN: usize = 64;
/// While there is nothing to say. Whatever changes that wakes us up.
const LONG: Duration = Duration::from_secs(3_600);

/// Why nothing is advertised. Phones that have heard of the box forget it in time.
#[derive(Debug)]
pub enum AdvertiseError {
    /// Too few rights, or too many that stay.
    Rights(io::Error),
    /// The system refuses signals, or to say when the bridge changes.
    System(io::Error),
}

impl fmt::Display for AdvertiseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AdvertiseError::Rights(_) => "the sender cannot be left with the one right that it needs",
            AdvertiseError::System(_) => "the system refuses what is needed to advertise",
        })
    }
}

impl std::error::Error for AdvertiseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AdvertiseError::Rights(cause) | AdvertiseError::System(cause) => Some(cause),
        }
    }
}

/// Advertises until SIGTERM or SIGINT, and takes its leave then. Ends at once, and well, if guests have no version 6.
pub fn run(settings: Option<&NetworkSettings>) -> Result<(), AdvertiseError> {
    let Some((settings, own)) = settings.and_then(|all| Some((all, all.guests.ipv6?))) else {
        tracing::info!("guests have no version 6: there is nothing to advertise");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        return Ok(());
    };
    rights::drop_all_but(Kept::NetRaw).map_err(AdvertiseError::Rights)?;
    until_told_to_stop(settings, own).map_err(AdvertiseError::System)
}

fn until_told_to_stop(settings: &NetworkSettings, own: Ipv6Net) -> io::Result<()> {
    let stop = stop()?;
    let mut changes = netlink::Socket::open(None, CHANGES)?;
    let mut sender = Sender::new(settings, own);
    sender.look();
    tracing::info!(
        bridge = sender.bridge,
        api = sender.api.is_some(),
        ready = sender.voice.is_some(),
        "advertising; rights: CAP_NET_RAW and no other"
    );
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        sender.tell();
        let mut wanted = vec![PollFd::new(&stop, PollFlags::IN), PollFd::new(&changes, PollFlags::IN)];
        wanted.extend(sender.voice.as_ref().map(|voice| PollFd::new(&voice.socket, PollFlags::IN)));
        match poll(&mut wanted, Timespec::try_from(sender.rest()).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut happened = wanted.iter().map(|one| !one.revents().is_empty());
        let (stopped, changed, asked) = (happened.next(), happened.next(), happened.next());
        if stopped == Some(true) {
            sender.takes_leave();
            return Ok(());
        }
        if asked == Some(true) {
            sender.hears();
        }
        if changed == Some(true) {
            // What is told is not believed: the bridge is looked at.
            while !matches!(changes.read_now(), Ok(None)) {}
        }
        if changed == Some(true) || sender.voice.is_none() {
            sender.look();
        }
    }
}

/// Can be read from once SIGTERM or SIGINT has come.
fn stop() -> io::Result<UnixStream> {
    let (here, there) = UnixStream::pair()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let [term, int] = {
        let _inside = runtime.enter();
        [SignalKind::terminate(), SignalKind::interrupt()].map(signal)
    };
    let (mut term, mut int) = (term?, int?);
    std::thread::Builder::new().name("tillgate-stop".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        });
        drop(there);
    })?;
    Ok(here)
}

/// What is to be said, and how far it can be.
struct Sender<'s> {
    bridge: &'s str,
    own: Ipv6Net,
    api: Option<String>,
    /// `None`: there is no bridge to speak on, or it did not work.
    voice: Option<Voice>,
    pace: Pace,
    /// It does not work though it should: that was said.
    failed: bool,
    random: SystemRandom,
}

impl<'s> Sender<'s> {
    fn new(settings: &'s NetworkSettings, own: Ipv6Net) -> Sender<'s> {
        let (bridge, api) = (settings.guests.bridge.as_str(), settings.portal.api());
        let pace = Pace::begins(Clock::mono());
        Sender { bridge, own, api, voice: None, pace, failed: false, random: SystemRandom::new() }
    }

    /// Looks what the bridge is now, and speaks there if it was not so before.
    fn look(&mut self) {
        let found = match Bridge::look(self.bridge) {
            Ok(found) => found,
            Err(error) => return self.fails(&error),
        };
        if self.voice.as_ref().map(|voice| voice.bridge) == found {
            return;
        }
        self.voice = None;
        let Some(bridge) = found else {
            tracing::info!(bridge = self.bridge, "it is not there, or carries nothing yet: waiting");
            self.failed = false;
            return;
        };
        let advert = Advert { own: self.own, api: self.api.clone(), mac: bridge.mac, mtu: bridge.mtu };
        match Voice::on(bridge, advert) {
            Ok(voice) => {
                self.voice = Some(voice);
                self.pace.begins_again(Clock::mono());
            }
            Err(error) => self.fails(&error),
        }
    }

    /// Says what is due.
    fn tell(&mut self) {
        let now = Clock::mono();
        while let Some(voice) = &self.voice {
            let Some(to) = self.pace.tells(now, self.dice()) else { return };
            match voice.says(to) {
                Ok(()) => {
                    tracing::debug!(?to, "told");
                    if to == To::All && std::mem::take(&mut self.failed) {
                        tracing::info!(bridge = self.bridge, "phones are told again");
                    }
                }
                Err(error) => match to {
                    // It has gone, or asks again.
                    To::Phone(_) => tracing::debug!(%error, "a phone was not told"),
                    // So many ask who are not there that there is no room: soon again.
                    To::All if is_full(&error) => self.pace.asked(now, Asker::Anybody, 0),
                    To::All => self.fails(&error),
                },
            }
        }
    }

    /// Takes down who asks.
    fn hears(&mut self) {
        for _ in 0..TURN {
            let Some(voice) = &self.voice else { return };
            match voice.hears() {
                Ok(asker) => {
                    let dice = self.dice();
                    asker.into_iter().for_each(|asker| self.pace.asked(Clock::mono(), asker, dice));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.fails(&error),
            }
        }
    }

    /// Said once, and tried again until it works.
    fn fails(&mut self, error: &io::Error) {
        self.voice = None;
        if !std::mem::replace(&mut self.failed, true) {
            tracing::error!(
                message_id = "84b258655b27429d97e84765e3bae60c",
                bridge = self.bridge,
                %error,
                "phones cannot be told of version 6 and of the portal by it: trying again"
            );
        }
    }

    /// How long there is nothing to do unless something happens.
    fn rest(&self) -> Duration {
        match (&self.voice, self.failed) {
            (Some(_), _) => Duration::from_millis(Clock::mono().ms_until(self.pace.due())),
            (None, true) => PAUSE,
            (None, false) => LONG,
        }
    }

    fn takes_leave(&self) {
        let Some(voice) = &self.voice else { return };
        if let Err(error) = voice.send(&voice.advert.takes_leave(), ALL_NODES) {
            tracing::warn!(%error, "phones were not told that the box is their router no longer");
        }
    }

    fn dice(&self) -> u64 {
        let mut bytes = [0; 8];
        // Without them all phones are told at the same times: nothing worse.
        let _ = self.random.fill(&mut bytes);
        u64::from_ne_bytes(bytes)
    }
}

/// A socket that speaks and hears on one bridge as it was when it was opened.
struct Voice {
    bridge: Bridge,
    advert: Advert,
    socket: Socket,
}

impl Voice {
    fn on(bridge: Bridge, advert: Advert) -> io::Result<Voice> {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        // Before it hears anything.
        socket.attach_filter(&only_solicitations())?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(SocketAddrV6::new(bridge.own, 0, 0, bridge.index)))?;
        socket.set_unicast_hops_v6(HOPS.into())?;
        socket.set_multicast_hops_v6(HOPS.into())?;
        socket.set_multicast_loop_v6(false)?;
        socket.join_multicast_v6(&ALL_ROUTERS, bridge.index)?;
        Ok(Voice { bridge, advert, socket })
    }

    fn says(&self, to: To) -> io::Result<()> {
        let to = match to {
            To::All => ALL_NODES,
            To::Phone(phone) => phone,
        };
        self.send(&self.advert.says(), to)
    }

    fn send(&self, bytes: &[u8], to: Ipv6Addr) -> io::Result<()> {
        let to = SockAddr::from(SocketAddrV6::new(to, 0, 0, self.bridge.index));
        self.socket.send_to(bytes, &to).map(drop)
    }

    /// The next who asks; `None`: in a way that has no answer. An error that says so: nobody does now.
    fn hears(&self) -> io::Result<Option<Asker>> {
        let mut bytes = [0; message::SOLICIT_BYTES_MAX + 1];
        let (_, count, from) = rustix::net::recvfrom(&self.socket, &mut bytes, RecvFlags::DONTWAIT)?;
        let from = from.and_then(|from| SocketAddrV6::try_from(from).ok());
        Ok(from.zip(bytes.get(..count)).and_then(|(from, bytes)| message::solicitation(*from.ip(), bytes)))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AGAIN | Errno::NOBUFS))
}

/// The kernel wakes us up for solicitations alone, and for those only that have come over no router: `linux/filter.h`.
fn only_solicitations() -> [SockFilter; 6] {
    /// `BPF_LD | BPF_B | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_RET | BPF_K`.
    const LOAD: u16 = 0x30;
    const IS: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// `SKF_NET_OFF`: from the beginning of the packet; all else is counted from that of the message. Byte 7 is the hop limit.
    const HOP_LIMIT: u32 = 0xfff0_0000 + 7;
    [
        SockFilter::new(LOAD, 0, 0, HOP_LIMIT),
        SockFilter::new(IS, 0, 3, HOPS.into()),
        SockFilter::new(LOAD, 0, 0, 0),
        SockFilter::new(IS, 0, 1, message::SOLICIT.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
