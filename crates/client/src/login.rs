//! How a client introduces itself: from the protocol header to `connection.open`.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::limits::FRAME_BYTES_MAX;
use leveret_model::{Arguments, RoutingKey, Value};
use leveret_wire::client::capabilities;
use leveret_wire::method::{ConnectionOpen, ConnectionStartOk, ConnectionTuneOk};
use leveret_wire::{EncodeMethod as _, Table, encode_arguments};

/// Who logs in, and on what terms.
#[derive(Clone, Debug)]
pub struct Login {
    /// Name of the client for the broker's logs and status.
    pub product: String,
    /// Extensions that the client understands (RabbitMQ: client capabilities). Without `consumer_cancel_notify`
    /// a broker does not say that a consumer's queue is gone, without `authentication_failure_close` not why it
    /// refuses a login.
    pub capabilities: &'static [&'static str],
    /// With the mechanism PLAIN.
    pub user: String,
    /// In clear text: for brokers on the same machine.
    pub password: String,
    /// Virtual host.
    pub vhost: String,
    /// Highest channel number.
    pub channel_max: u16,
    /// Largest frame, in bytes, unless the broker wants smaller ones; at least 4,096.
    pub frame_max: u32,
    /// Seconds between signs of life; 0 is none. The client sends none of its own accord.
    pub heartbeat: u16,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            product: "leveret client".into(),
            capabilities: &[
                "consumer_cancel_notify",
                "publisher_confirms",
                "basic.nack",
                "authentication_failure_close",
                "connection.blocked",
            ],
            user: "guest".into(),
            password: "guest".into(),
            vhost: "/".into(),
            channel_max: 2_047,
            frame_max: FRAME_BYTES_MAX,
            heartbeat: 0,
        }
    }
}

impl Login {
    /// Appends the answer to `connection.start`.
    pub fn write_start_ok(&self, out: &mut Vec<u8>) {
        let product = Value::LongString(self.product.as_bytes().into());
        let properties = [(RoutingKey::new(b"product"), product), capabilities(self.capabilities)];
        let mut table = Vec::new();
        encode_arguments(&Arguments(properties.into()), &mut table);
        let response = alloc::format!("\0{}\0{}", self.user, self.password);
        let start_ok = ConnectionStartOk {
            client_properties: Table(&table),
            mechanism: b"PLAIN",
            response: response.as_bytes(),
            locale: b"en_US",
        };
        start_ok.encode_frame(0, out);
    }

    /// Appends the answer to `connection.tune` and the request for the virtual host. Gives the largest frame
    /// that is agreed on when the broker offers frames up to `frame_max`.
    pub fn write_open(&self, frame_max: u32, out: &mut Vec<u8>) -> u32 {
        // 0 is no limit (AMQP 0-9-1 §1.4.2.5)
        let agreed = if frame_max == 0 { self.frame_max } else { frame_max.min(self.frame_max) };
        let tune_ok =
            ConnectionTuneOk { channel_max: self.channel_max, frame_max: agreed, heartbeat: self.heartbeat };
        tune_ok.encode_frame(0, out);
        ConnectionOpen { virtual_host: self.vhost.as_bytes() }.encode_frame(0, out);
        agreed
    }
}
