//! A message in: `basic.publish`, content header and body frames to [`Host::publish`] (AMQP 0-9-1 §4.2.6).
//!
//! The short way: all frames of the message lie whole in the block at hand, and the host gets slices of it. Otherwise the
//! message is assembled (`assembly.rs`). Both end in `on_published`.

use alloc::boxed::Box;
use alloc::format;

use bytes::Bytes;
use leveret_model::limits::{BODIES_UNFINISHED_BYTES_MAX, SLICE_BYTES_MIN};
use leveret_model::{Body, Instant, Message, PublishNumber, ReplyCode, Terms};
use leveret_wire::frame::{FRAME_END, FRAME_HEAD_BYTES};
use leveret_wire::properties::CLASS_BASIC;
use leveret_wire::{ContentHeader, FrameHead, FrameKind, PublishFields, decode_frame};

use super::frames::malformed_header;
use super::{Assembly, Channel, Step, Wait, framing, properties, whole_frame};
use crate::exception::{Exception, MethodId};
use crate::host::{Host, Publish, Published};
use crate::surface::as_rabbitmq_refuses;
use crate::turn::{Shared, Turn};

/// The content of a message that lies whole in the block at hand.
struct WholeContent<'a> {
    header: &'a [u8],
    /// `Properties::concern_broker`
    concerns_broker: bool,
    terms: Terms,
    body: &'a [u8],
    /// Where the body begins in the block.
    body_at: usize,
    /// Bytes of its frames.
    wire_len: usize,
}

impl WholeContent<'_> {
    /// The message for the host. hot.
    #[inline(always)]
    fn publish<'a>(
        &'a self,
        fields: &PublishFields<'a>,
        body: Body<'a>,
        number: Option<PublishNumber>,
        arrived: Instant,
    ) -> Publish<'a> {
        Publish {
            message: Message { address: fields.address, header: self.header, body, terms: self.terms },
            exchange: fields.exchange,
            routing_key: fields.routing_key,
            mandatory: fields.mandatory,
            number,
            arrived,
        }
    }
}

impl<C> Channel<C> {
    /// A publish, whose content may follow at `at`. Answers the bytes of content that were taken. hot.
    pub(super) fn on_publish<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        source: &Bytes,
        at: usize,
        fields: &PublishFields<'_>,
    ) -> Result<usize, Exception> {
        if fields.immediate {
            return Err(as_rabbitmq_refuses(MethodId::PUBLISH, "immediate=true"));
        }
        turn.shared.published_bytes += fields.address.len() as u64;
        let Some(content) = self.whole_content(turn.shared, source, at) else {
            let mut assembly = turn.shared.spare.take().unwrap_or_default();
            assembly.start(fields);
            turn.shared.unfinished_bytes += assembly.weight_bytes();
            self.content = Some(assembly);
            return Ok(0);
        };
        if content.concerns_broker && self.check_properties(turn, content.header, fields.exchange)? {
            self.publish_long_way(turn, source, &content, fields, true)?;
            return Ok(content.wire_len);
        }
        if self.tx.is_some() {
            self.publish_long_way(turn, source, &content, fields, false)?;
            return Ok(content.wire_len);
        }
        turn.shared.published_bytes += content.wire_len as u64;
        let number = self.confirms.as_mut().map(|confirms| confirms.draw());
        let arrived = turn.arrived;
        let sliced = content.body.len() >= SLICE_BYTES_MIN;
        // on the stack: a short message must not pay for a list that it does not have
        let chunk: [Bytes; 1];
        let body = if sliced {
            chunk = [source.slice(content.body_at..content.body_at + content.body.len())];
            Body::Chunks(&chunk)
        } else {
            Body::Flat(content.body)
        };
        let publish = content.publish(fields, body, number, arrived);
        let published = turn
            .host
            .publish(self.key, &mut self.state, publish)
            .map_err(|refusal| Exception::refused(refusal, MethodId::PUBLISH))?;
        match published {
            Published::NotNow => {
                let mut assembly = turn.shared.spare.take().unwrap_or_default();
                assembly.keep(publish);
                self.hold(turn, assembly, number);
            }
            Published::Unroutable => {
                self.send_return(turn.shared, fields.exchange, fields.routing_key, &publish.message);
                self.on_published(turn.shared, published);
            }
            _ => self.on_published(turn.shared, published),
        }
        Ok(content.wire_len)
    }

    /// The content header and the body at `at`, if both lie whole in the block and there is nothing to object to; else the
    /// slow way looks at them frame by frame. hot.
    fn whole_content<'a>(&self, shared: &Shared, source: &'a Bytes, at: usize) -> Option<WholeContent<'a>> {
        let next = |at: usize, kind: FrameKind| {
            let frame = decode_frame(&source[at..], shared.frame_max).ok()??;
            (frame.head.kind == kind && frame.head.channel == self.key.number.0).then_some(frame)
        };
        let header = next(at, FrameKind::Header)?;
        let content = ContentHeader::validate(header.payload).ok().filter(|h| h.class_id == CLASS_BASIC)?;
        let (size, concerns_broker) = (content.body_size, content.properties.concern_broker());
        let terms = content.properties.terms();
        let body_frame_at = at + header.wire_len();
        if size == 0 {
            let (body, wire_len) = (&source[body_frame_at..body_frame_at], header.wire_len());
            let (header, body_at) = (header.payload, body_frame_at);
            return Some(WholeContent { header, concerns_broker, terms, body, body_at, wire_len });
        }
        let body = next(body_frame_at, FrameKind::Body)?;
        if body.payload.len() as u64 != size || size > shared.config.body_bytes_max {
            return None;
        }
        Some(WholeContent {
            header: header.payload,
            concerns_broker,
            terms,
            body: body.payload,
            body_at: body_frame_at + FRAME_HEAD_BYTES,
            wire_len: header.wire_len() + body.wire_len(),
        })
    }

    /// A message that waits for a commit, or has further routing keys, whose route the host is not to remember.
    #[inline(never)]
    fn publish_long_way<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        source: &Bytes,
        content: &WholeContent<'_>,
        fields: &PublishFields<'_>,
        copies: bool,
    ) -> Result<(), Exception> {
        turn.shared.published_bytes += content.wire_len as u64;
        let number = self.confirms.as_mut().map(|confirms| confirms.draw());
        let chunk = [source.slice(content.body_at..content.body_at + content.body.len())];
        let sliced = content.body.len() >= SLICE_BYTES_MIN;
        let body = if sliced { Body::Chunks(&chunk) } else { Body::Flat(content.body) };
        let mut assembly = turn.shared.spare.take().unwrap_or_default();
        assembly.keep(content.publish(fields, body, number, turn.arrived));
        if copies {
            assembly.take_copies();
        }
        if self.tx.is_some() { self.keep_publish(turn, assembly) } else { self.offer(turn, assembly) }
    }

    /// Looks at properties that concern the broker: are there further routing keys? What is wrong with the
    /// exchange comes first.
    #[inline(never)]
    fn check_properties<H: Host<Channel = C>>(
        &self,
        turn: &mut Turn<'_, H>,
        header: &[u8],
        exchange: &[u8],
    ) -> Result<bool, Exception> {
        properties::check(turn.shared, header).map_err(|at_fault| {
            let refused = turn.host.may_publish(self.key, exchange).err();
            refused.map_or(at_fault, |refusal| Exception::refused(refusal, MethodId::PUBLISH))
        })
    }

    /// A content header frame, which is due.
    pub(super) fn on_header<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        source: &Bytes,
        at: usize,
    ) -> Result<Step, Exception> {
        let Some(frame) = whole_frame(source, at, turn.shared.frame_max)? else {
            return Ok(Step::Incomplete);
        };
        let header = ContentHeader::validate(frame.payload).map_err(malformed_header)?;
        if header.class_id != CLASS_BASIC {
            let text = format!(
                "expected content header for class {CLASS_BASIC}, got one for class {} instead",
                header.class_id
            );
            return Err(Exception::new(ReplyCode::UnexpectedFrame, MethodId::PUBLISH, text));
        }
        let (size, max) = (header.body_size, turn.shared.config.body_bytes_max);
        if size > max {
            // RabbitMQ says so after the last byte; what still comes is ignored by the closing channel
            let text = format!("message size {size} is larger than configured max size {max}");
            return Err(Exception::new(ReplyCode::PreconditionFailed, MethodId::PUBLISH, text));
        }
        let mut copies = false;
        if header.properties.concern_broker() {
            let exchange = self.content.as_ref().map_or(&b""[..], |content| content.names().0);
            copies = self.check_properties(turn, frame.payload, exchange)?;
        }
        turn.shared.published_bytes += frame.payload.len() as u64;
        let terms = header.properties.terms();
        if let Some(content) = &mut self.content {
            let before = content.weight_bytes();
            content.on_header(frame.payload, size, terms);
            if copies {
                content.take_copies();
            }
            turn.shared.unfinished_bytes += content.weight_bytes() - before;
        }
        if size == 0 {
            self.on_whole(turn)?;
        }
        Ok(Step::Taken(frame.wire_len()))
    }

    /// A body frame, which is due. hot.
    pub(super) fn on_body<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        source: &Bytes,
        at: usize,
        head: FrameHead,
    ) -> Result<Step, Exception> {
        let (missing, sliced) = match &self.content {
            Some(content) => (content.missing(), content.is_sliced()),
            None => (0, false),
        };
        if u64::from(head.size) > missing {
            // RabbitMQ 4.3: 501
            let text = "content body frame exceeds remaining content size";
            return Err(Exception::new(ReplyCode::FrameError, MethodId::PUBLISH, text));
        }
        let from = at + FRAME_HEAD_BYTES;
        let to = from + head.size as usize;
        match source.get(to) {
            Some(&FRAME_END) => {
                self.on_piece(turn, source.slice(from..to))?;
                Ok(Step::Taken(to + 1 - at))
            }
            Some(&other) => Err(framing(leveret_wire::FrameError::BadEnd(other))),
            // the rest of a long body is taken as it comes, never copied to a next block
            None if sliced => {
                let piece = source.slice(from..source.len().min(to));
                let remaining = head.size as usize - piece.len() + 1;
                let taken = FRAME_HEAD_BYTES + piece.len();
                self.gather(turn.shared, piece)?;
                Ok(Step::Partial { taken, remaining })
            }
            None => Ok(Step::Incomplete),
        }
    }

    /// A piece of a body that ends its frame, or is the whole frame.
    fn on_piece<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        piece: Bytes,
    ) -> Result<(), Exception> {
        self.gather(turn.shared, piece)?;
        self.on_frame_end(turn)
    }

    /// More of a body frame of which the beginning was taken.
    pub(crate) fn gather(&mut self, shared: &mut Shared, piece: Bytes) -> Result<(), Exception> {
        let Some(content) = &mut self.content else { return Ok(()) };
        shared.unfinished_bytes += piece.len();
        shared.published_bytes += piece.len() as u64;
        content.gather(piece);
        if shared.unfinished_bytes > BODIES_UNFINISHED_BYTES_MAX {
            // 506 and no 501: each message is within what was promised, and all of them together are too much
            // for us
            let text = format!("more than {BODIES_UNFINISHED_BYTES_MAX} bytes in unfinished messages");
            return Err(Exception::new(ReplyCode::ResourceError, MethodId::PUBLISH, text));
        }
        Ok(())
    }

    /// The end of a body frame.
    pub(crate) fn on_frame_end<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
    ) -> Result<(), Exception> {
        match &self.content {
            Some(content) if content.missing() == 0 => self.on_whole(turn),
            _ => Ok(()),
        }
    }

    /// The assembled message is whole.
    fn on_whole<H: Host<Channel = C>>(&mut self, turn: &mut Turn<'_, H>) -> Result<(), Exception> {
        let Some(mut assembly) = self.content.take() else { return Ok(()) };
        turn.shared.unfinished_bytes -= assembly.weight_bytes();
        assembly.finish();
        if self.tx.is_some() {
            return self.keep_publish(turn, assembly);
        }
        assembly.arrived = turn.arrived;
        assembly.number = self.confirms.as_mut().map(|confirms| confirms.draw());
        self.offer(turn, assembly)
    }

    /// Offers the held publish again.
    pub(crate) fn resume<H: Host<Channel = C>>(&mut self, turn: &mut Turn<'_, H>) -> Result<(), Exception> {
        match core::mem::replace(&mut self.wait, Wait::Nothing) {
            Wait::Publish(assembly) => {
                turn.shared.held_publishes -= 1;
                turn.shared.held_bytes -= assembly.weight_bytes();
                self.offer(turn, assembly)
            }
            other => {
                self.wait = other;
                self.go_on_committing(turn)
            }
        }
    }

    /// Offers an assembled message to the host.
    fn offer<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        mut assembly: Box<Assembly>,
    ) -> Result<(), Exception> {
        let (number, arrived) = (assembly.number, assembly.arrived);
        let publish = assembly.publish(number, arrived);
        let published = match assembly.copies() {
            [] => turn.host.publish(self.key, &mut self.state, publish),
            keys => turn.host.publish_copies(self.key, publish, keys),
        };
        if published == Ok(Published::NotNow) {
            self.hold(turn, assembly, number);
            return Ok(());
        }
        let published = published.map_err(|refusal| Exception::refused(refusal, MethodId::PUBLISH))?;
        if published == Published::Unroutable {
            let (exchange, routing_key) = assembly.names();
            self.send_return(turn.shared, exchange, routing_key, &assembly.message());
        }
        self.on_published(turn.shared, published);
        assembly.clear();
        turn.shared.spare = Some(assembly);
        Ok(())
    }

    /// Keeps a message until `resume`; everything behind it is deferred.
    fn hold<H>(
        &mut self,
        turn: &mut Turn<'_, H>,
        mut assembly: Box<Assembly>,
        number: Option<PublishNumber>,
    ) {
        assembly.number = number;
        turn.shared.held_publishes += 1;
        turn.shared.held_bytes += assembly.weight_bytes();
        self.wait = Wait::Publish(assembly);
    }

    /// Notes the outcome for the confirms, if there are any. hot.
    #[inline(always)]
    fn on_published(&mut self, shared: &mut Shared, published: Published) {
        if self.confirms.is_some() {
            self.note_confirm(shared, published);
        }
    }

    /// hot.
    #[inline(always)]
    fn note_confirm(&mut self, shared: &mut Shared, published: Published) {
        let Some(confirms) = &mut self.confirms else { return };
        match published {
            Published::Settled => confirms.settled(),
            Published::Unroutable => {
                // It is returned and then acked, not nacked (RabbitMQ: publisher confirms), before anything
                // else: clients tell from the ack that follows a return which publish came back, so no later
                // one may cover it.
                confirms.settled();
                return self.flush_confirms(shared);
            }
            Published::GivenUp => confirms.given_up(),
            Published::Owed | Published::NotNow => return confirms.owed(),
        }
        self.confirms_are_due(shared);
    }
}
