//! What a plugin's file imports: `use carillon_core::prelude::*;`.

pub use std::sync::Arc;
pub use std::time::Duration;

pub use bytes::Bytes;
pub use carillon_config::{NoConfig, Problems};
pub use schemars::{self, JsonSchema};
pub use serde::{Deserialize, Serialize};

pub use crate::ack::Ack;
pub use crate::bus::Message;
pub use crate::ctx::Ctx;
pub use crate::error::{Code, Error, Result};
pub use crate::host::{Host, Target};
pub use crate::identity::Identity;
pub use crate::metrics::{HistogramVec, IntCounterVec, IntGaugeVec};
pub use crate::payload::{AnyEvent, Args, Attachment, Ignored, Payload, Plain};
pub use crate::peer::Peer;
pub use crate::plugin;
pub use crate::plugin::Plugin;
pub use crate::refusal::Refusal;
pub use crate::routes::Routes;
pub use crate::sink::{Mode, Reason, Transport};
pub use crate::time::timestamp;
