//! What a door says each 2 s: its counts, and how many requests it still has at instances that drain.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::Boot;
use leveret_model::limits::{DOOR_ACKS_MAX, DOOR_REPORT_BYTES_MAX, SERVICES_MAX};
use serde::{Deserialize, Serialize};

use crate::announcement::boot_text;
use crate::message_error::MessageError;
use crate::name::{DoorName, InstanceName, ServiceName};

/// A door at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorReport {
    /// Version of the text.
    pub v: u32,
    /// Who reports.
    pub door: DoorName,
    /// Random, of this start of the door.
    #[serde(with = "boot_text")]
    pub boot: Boot,
    /// Counts by service, since the door's start.
    #[serde(default)]
    pub services: BTreeMap<ServiceName, ServiceCount>,
    /// Instances that drain.
    #[serde(default)]
    pub acks: Vec<Ack>,
}

/// What a door did for a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceCount {
    /// Answered, since the door's start.
    pub requests: u64,
    /// Of them with an error of the door's own (502, 503, 504).
    pub errors: u64,
    /// At instances now.
    pub inflight: u32,
    /// Held because no instance takes them (T7).
    pub waiting: u32,
    /// Median time to the response's end, microseconds, over the door's life.
    pub p50_us: u64,
    /// 95th percentile of it.
    pub p95_us: u64,
}

/// A door's word on one draining instance: it acts on this seq, and still has so many requests there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The instance's service.
    pub service: ServiceName,
    /// The instance.
    pub instance: InstanceName,
    /// Which start of it.
    #[serde(with = "boot_text")]
    pub boot: Boot,
    /// Highest seq of that boot that the door acts on.
    pub seq: u64,
    /// Requests at it, tunnels excluded.
    pub inflight: u32,
}

impl DoorReport {
    /// Reads the text of a stranger.
    ///
    /// # Errors
    /// [`MessageError`] says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, MessageError> {
        if body.len() > DOOR_REPORT_BYTES_MAX {
            return Err(MessageError::Long(body.len()));
        }
        let read: Self =
            serde_json::from_slice(body).map_err(|error| MessageError::Text(alloc::format!("{error}")))?;
        if read.acks.len() > DOOR_ACKS_MAX || read.services.len() > SERVICES_MAX {
            return Err(MessageError::Text(String::from("more entries than a report has")));
        }
        Ok(read)
    }

    /// As it is sent.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a report has only types that JSON has")
    }
}
