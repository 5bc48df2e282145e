//! What the shop is: pure decisions. Takes events, returns records and effects; has no clock, no disk, no sockets.

pub mod attempt;
pub mod effect;
pub mod event;
pub mod id;
pub mod money;
pub mod pairing;
pub mod policy;
pub mod sale;
pub mod session;
pub mod time;
