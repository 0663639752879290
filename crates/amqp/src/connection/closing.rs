//! How channels and connections end (AMQP 0-9-1 §2.2.4, §4.10).

use alloc::boxed::Box;

use leveret_model::limits::{CLOSE_TIMEOUT, LEAVE_WAIT, OUTPUT_UNREAD_BYTES};
use leveret_model::{ChannelNumber, Instant, Name, ReplyCode, Scope};
use leveret_wire::method::{ChannelClose, ConnectionClose, ConnectionCloseOk};

use super::{Connection, Phase, ZERO};
use crate::channels::Slot;
use crate::ending::Ended;
use crate::exception::{Exception, MethodId, reply_text};
use crate::host::Host;

impl<C> Connection<C> {
    /// Ends the connection from our side, with a readable reason (320 when the node stops). What the client is still owed
    /// and is settled goes out first.
    pub fn close<H: Host<Channel = C>>(&mut self, now: Instant, code: ReplyCode, text: &str, host: &mut H) {
        self.now = now;
        let exception = Exception::new(code, MethodId::NONE, text);
        match self.phase {
            Phase::Handshake { state, .. } if !state.is_trusted() => {
                self.finish(Ended::ByServer(code, exception.reply_text()), host);
            }
            Phase::Handshake { .. } | Phase::Open => self.close_connection(&exception, host),
            Phase::Refused { .. } | Phase::Ending { .. } | Phase::Closing { .. } | Phase::Finished { .. } => {
            }
        }
    }

    /// Like `close` for a connection that keeps too much: one that does not read what it was sent would not read a close
    /// either, and ends without a word. So does one that was told to go and still keeps something.
    pub fn evict<H: Host<Channel = C>>(&mut self, now: Instant, code: ReplyCode, text: &str, host: &mut H) {
        let is_open = matches!(self.phase, Phase::Handshake { .. } | Phase::Open);
        if is_open && self.shared.output.len() <= OUTPUT_UNREAD_BYTES {
            return self.close(now, code, text, host);
        }
        self.now = now;
        self.finish(Ended::ByServer(code, reply_text(code, text)), host);
        self.shared.output.clear();
        self.shared.output.release_memory();
    }

    /// The socket is gone: every channel closes towards the host.
    pub fn lost<H: Host<Channel = C>>(&mut self, host: &mut H) {
        self.cut(Ended::Lost, host);
    }

    /// The end, without a word more: who does not take what is in the output would hold the socket with it for ever, since
    /// its system answers for it (RFC 9293 §3.8.6.1: probes of a zero window).
    pub(super) fn cut<H: Host<Channel = C>>(&mut self, ended: Ended, host: &mut H) {
        self.finish(ended, host);
        self.shared.output.clear();
    }

    /// An exception of a channel, or of the connection if `number` is 0. Its code says what it closes.
    pub(super) fn raise<H: Host<Channel = C>>(
        &mut self,
        number: ChannelNumber,
        exception: &Exception,
        host: &mut H,
    ) {
        match exception.scope() {
            Scope::Channel if number != ZERO => self.close_channel(number, exception, host),
            _ => self.close_connection(exception, host),
        }
    }

    /// channel.close, and silence on that number until close-ok.
    fn close_channel<H: Host<Channel = C>>(
        &mut self,
        number: ChannelNumber,
        exception: &Exception,
        host: &mut H,
    ) {
        let Some(slot @ Slot::Open(_)) = self.channels.get(number) else { return };
        let mut slot = core::mem::replace(slot, Slot::Closing);
        // what was settled before stands, and the client hears of it
        if let Slot::Open(open) = &mut slot {
            open.flush_confirms(&mut self.shared);
        }
        let text = exception.reply_text();
        let close = ChannelClose {
            reply_code: exception.code().code(),
            reply_text: text.as_bytes(),
            class_id: exception.method().class,
            method_id: exception.method().method,
        };
        self.shared.send(number, &close);
        host.channel_refused(number, exception.code(), &text);
        self.forget(slot, host);
    }

    /// connection.close; all channels end with it.
    fn close_connection<H: Host<Channel = C>>(&mut self, exception: &Exception, host: &mut H) {
        self.end_channels(host, true);
        host.connection_closed();
        let (code, text) = (exception.code(), exception.reply_text());
        self.ended.get_or_insert_with(|| Box::new(Ended::ByServer(code, text)));
        self.send_close(exception);
    }

    pub(super) fn send_close(&mut self, exception: &Exception) {
        let text = exception.reply_text();
        let close = ConnectionClose {
            reply_code: exception.code().code(),
            reply_text: text.as_bytes(),
            class_id: exception.method().class,
            method_id: exception.method().method,
        };
        self.shared.send(ZERO, &close);
        self.phase = Phase::Closing { until: self.now + CLOSE_TIMEOUT, deaf: exception.framing_lost() };
    }

    /// The client closed the connection: its channels end before it hears close-ok, so that it finds everything given back
    /// when it comes again; and its exclusive queues are gone, so that it may declare them anew at once (RabbitMQ).
    pub(super) fn on_close<H: Host<Channel = C>>(&mut self, host: &mut H) {
        self.end_channels(host, true);
        if host.connection_closed() {
            self.phase = Phase::Ending { until: self.now + LEAVE_WAIT };
        } else {
            self.end_close(host);
        }
    }

    /// `Host::connection_closed` said that queues were not gone: they are.
    pub fn on_queues_gone<H: Host<Channel = C>>(&mut self, now: Instant, host: &mut H) {
        self.now = now;
        if let Phase::Ending { .. } = self.phase {
            self.end_close(host);
        }
    }

    pub(super) fn end_close<H: Host<Channel = C>>(&mut self, host: &mut H) {
        self.shared.send(ZERO, &ConnectionCloseOk);
        self.finish(Ended::ByClient, host);
    }

    /// The end. A reason that was noted before stays; so does what is to be written, for a while.
    pub(super) fn finish<H: Host<Channel = C>>(&mut self, ended: Ended, host: &mut H) {
        self.end_channels(host, false);
        host.connection_closed();
        self.ended.get_or_insert_with(|| Box::new(ended));
        self.phase = Phase::Finished { until: self.now + CLOSE_TIMEOUT };
    }

    /// Ends a broken handshake without a word.
    pub(super) fn drop_handshake<H: Host<Channel = C>>(&mut self, text: Name, host: &mut H) {
        self.finish(Ended::BrokeHandshake(text), host);
    }

    fn end_channels<H: Host<Channel = C>>(&mut self, host: &mut H, heard: bool) {
        for (_, mut slot) in self.channels.take_all() {
            if let Slot::Open(open) = &mut slot
                && heard
            {
                open.flush_confirms(&mut self.shared);
            }
            self.forget(slot, host);
        }
    }

    /// What was in a slot is gone.
    pub(super) fn forget<H: Host<Channel = C>>(&mut self, slot: Slot<C>, host: &mut H) {
        if let Slot::Open(open) = slot {
            self.count_deferred(open.deferred_bytes(), 0);
            open.close(&mut self.shared, host);
            self.go_on_getting(host);
        }
    }
}
