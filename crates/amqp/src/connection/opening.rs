//! Bytes in before connection.open-ok: the protocol header, then method frames on channel 0 to `handshake.rs`.

use bytes::Bytes;
use leveret_model::limits::HANDSHAKE_BYTES_MAX;
use leveret_model::{Name, ReplyCode};
use leveret_wire::{FrameKind, Method, PROTOCOL_HEADER, ProtocolHeader};

use super::{Connection, Phase, ZERO};
use crate::channel::{decode_method, whole_frame};
use crate::ending::Ended;
use crate::exception::{Exception, MethodId};
use crate::handshake::Handshake;
use crate::host::Host;

impl<C> Connection<C> {
    /// Bytes before connection.open-ok.
    pub(super) fn on_handshake_bytes<H: Host<Channel = C>>(
        &mut self,
        state: Handshake,
        bytes: &Bytes,
        at: usize,
        host: &mut H,
    ) -> usize {
        let taken = match state {
            Handshake::CheckingLogin | Handshake::OpeningVhost => return 0,
            Handshake::ExpectHeader => self.on_protocol_header(state, bytes, at, host),
            _ => match self.on_handshake_frame(state, bytes, at, host) {
                Ok(taken) => taken,
                Err(exception) => {
                    let taken = match self.head(bytes, at) {
                        Ok(Some(head)) => self.skip(bytes, at, head),
                        _ => bytes.len() - at,
                    };
                    // an honest client can get the mechanism wrong (RabbitMQ: 503); other mistakes get no answer
                    if state.is_trusted() || exception.code() == ReplyCode::CommandInvalid {
                        self.raise(ZERO, &exception, host);
                    } else {
                        self.drop_handshake(exception.reply_text(), host);
                    }
                    return taken;
                }
            },
        };
        if let Phase::Handshake { state, bytes: total, .. } = &mut self.phase {
            *total += taken;
            if *total > HANDSHAKE_BYTES_MAX && !state.is_trusted() {
                self.drop_handshake(Name::new("too many bytes before the login"), host);
            }
        }
        taken
    }

    fn on_protocol_header<H: Host<Channel = C>>(
        &mut self,
        state: Handshake,
        bytes: &Bytes,
        at: usize,
        host: &mut H,
    ) -> usize {
        match ProtocolHeader::decode(&bytes[at..]) {
            None => 0,
            Some(ProtocolHeader::Amqp091) => {
                let state = state.on_header(&mut self.shared);
                self.set_handshake(state);
                ProtocolHeader::BYTES
            }
            Some(other) => {
                // what we speak, then the end (AMQP 0-9-1 §4.2.2)
                self.shared.output.bytes().extend_from_slice(&PROTOCOL_HEADER);
                self.finish(Ended::NotAmqp(other), host);
                bytes.len() - at
            }
        }
    }

    fn on_handshake_frame<H: Host<Channel = C>>(
        &mut self,
        state: Handshake,
        bytes: &Bytes,
        at: usize,
        host: &mut H,
    ) -> Result<usize, Exception> {
        let Some(head) = self.head(bytes, at)? else { return Ok(0) };
        let Some(frame) = whole_frame(bytes, at, self.shared.frame_max)? else { return Ok(0) };
        let len = frame.wire_len();
        match (head.kind, head.channel) {
            (FrameKind::Heartbeat, 0) => return Ok(len),
            (FrameKind::Method, 0) => {}
            _ => {
                let text = "only methods on channel 0 are due in the handshake";
                return Err(Exception::new(ReplyCode::UnexpectedFrame, MethodId::NONE, text));
            }
        }
        let method = decode_method(&frame)?;
        if let Method::ConnectionClose(_) = method {
            self.on_close(host);
            return Ok(len);
        }
        let next = state.on_method(&mut self.shared, host, &method)?;
        if let Method::ConnectionTuneOk(tuned) = method {
            self.heartbeat.start(self.now, tuned.heartbeat);
            if tuned.heartbeat == 0 {
                self.stuck.start(self.now);
            }
        }
        self.set_handshake(next);
        Ok(len)
    }

    pub(super) fn set_handshake(&mut self, next: Handshake) {
        match (&mut self.phase, next) {
            (phase, Handshake::Done) => {
                *phase = Phase::Open;
                self.plan_ack_look();
            }
            (Phase::Handshake { state, .. }, next) => *state = next,
            _ => {}
        }
    }
}
