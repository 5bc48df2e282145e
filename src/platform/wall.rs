//! Sleeps until a time of the day, and wakes as soon as somebody sets the clock. Wakes nobody in between.

use crate::shop::time::Wall;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// Returns at this time, or when the machine's clock was set, whichever comes first: look at the clock again.
pub(super) async fn sleep_until(at: Wall) -> io::Result<()> {
    let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    // Zero would mean never.
    let ms = at.0.max(1);
    let it_value = Timespec { tv_sec: ms.div_euclid(1_000), tv_nsec: ms.rem_euclid(1_000).saturating_mul(1_000_000) };
    let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(&timer, flags, &Itimerspec { it_interval, it_value })?;
    #[expect(
        deprecated,
        reason = "what comes instead is unsafe; an owned descriptor keeps its number while it is watched"
    )]
    let timer: AsyncFd<OwnedFd> = AsyncFd::new(timer)?;
    loop {
        let mut ready = timer.readable().await?;
        match rustix::io::read(&timer, &mut [0; 8]) {
            Ok(_) | Err(Errno::CANCELED) => return Ok(()),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    fn now_ms() -> i64 {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }

    #[test]
    fn it_returns_at_its_time_and_at_once_when_that_is_past() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun = now_ms();
        runtime.block_on(sleep_until(Wall(begun + 60))).unwrap();
        assert!(now_ms() >= begun + 60);
        for past in [begun - 5, 0, i64::MIN] {
            runtime.block_on(sleep_until(Wall(past))).unwrap();
        }
    }

    #[test]
    fn it_waits_for_times_that_never_come() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for late in [now_ms() + 86_400_000, i64::MAX / 1_000, i64::MAX] {
            let waited =
                async { tokio::time::timeout(std::time::Duration::from_millis(20), sleep_until(Wall(late))).await };
            assert!(runtime.block_on(waited).is_err(), "{late}");
        }
    }
}
