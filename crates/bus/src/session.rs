//! One link: from the connect to its loss.
//!
//! Two channels publish: one in confirm mode for changes, one without for what is said each second, because a
//! client has to keep every confirm that it was promised. Their order does not matter: readers go by seq.

use std::future::{Future, poll_fn};
use std::sync::Arc;

use futures_core::Stream as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind,
};
use leveret_model::limits::{BUS_QUEUE_MESSAGES_MAX, BUS_STEP_TIMEOUT, DOOR_TTL};
use leveret_services::{ASK_KEY, Ask, EXCHANGE, parse};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::brokers::Target;
use crate::{BusConfig, Incoming, Outgoing};

/// What a step of a new link came to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{step}: {error}")]
    Refused { step: &'static str, error: lapin::Error },
    #[error("{0}: no answer within {BUS_STEP_TIMEOUT:?}")]
    Silent(&'static str),
}

/// How a link ended.
pub(crate) enum Ended {
    /// Nobody wants it any more.
    ByUs,
    /// The broker or the network is gone.
    Lost(String),
}

pub(crate) struct Session {
    connection: Connection,
    plain: Channel,
    confirmed: Arc<Channel>,
    consumer: Consumer,
    broker: String,
    user: String,
}

/// Waits for a step.
async fn step<T>(
    name: &'static str,
    operation: impl Future<Output = lapin::Result<T>>,
) -> Result<T, OpenError> {
    match tokio::time::timeout(BUS_STEP_TIMEOUT, operation).await {
        Ok(result) => result.map_err(|error| OpenError::Refused { step: name, error }),
        Err(_) => Err(OpenError::Silent(name)),
    }
}

impl Session {
    /// Connects, declares and binds; a door asks, and has the ask confirmed, before it consumes.
    pub(crate) async fn open(
        config: &BusConfig,
        ask: Option<&Ask>,
        target: &Target,
    ) -> Result<Self, OpenError> {
        let properties = ConnectionProperties::default().with_connection_name(config.name.as_str().into());
        let connection = step("connect", Connection::connect_uri(target.uri.clone(), properties)).await?;
        declare_exchange(&connection).await?;
        let plain = step("channel", connection.create_channel()).await?;
        let confirmed = step("channel", connection.create_channel()).await?;
        step("confirm.select", confirmed.confirm_select(ConfirmSelectOptions::default())).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(BUS_QUEUE_MESSAGES_MAX as i32));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
        let exclusive =
            QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = step("queue.declare", plain.queue_declare("".into(), exclusive, arguments)).await?;
        for binding in &config.bindings {
            let options = QueueBindOptions::default();
            let bind = plain.queue_bind(
                queue.name().clone(),
                EXCHANGE.into(),
                binding.as_str().into(),
                options,
                FieldTable::default(),
            );
            step("queue.bind", bind).await?;
        }
        let user = target.uri.authority.userinfo.username.clone();
        if let Some(ask) = ask {
            let outgoing =
                Outgoing { key: ASK_KEY.to_owned(), body: ask.to_body(), ttl: DOOR_TTL, confirm: Some(0) };
            let confirm = step("ask", publish(&confirmed, &user, &outgoing)).await?;
            step("ask", confirm).await?;
        }
        let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
        let consume = plain.basic_consume(queue.name().clone(), "".into(), options, FieldTable::default());
        let consumer = step("basic.consume", consume).await?;
        let broker = target.shown();
        Ok(Self { connection, plain, confirmed: Arc::new(confirmed), consumer, broker, user })
    }

    /// Carries messages until one side is gone.
    pub(crate) async fn carry(
        mut self,
        to_send: &mut Receiver<Outgoing>,
        events: &Sender<Incoming>,
    ) -> Ended {
        let up = Incoming::Up { broker: self.broker.clone(), user: self.user.clone() };
        if events.send(up).await.is_err() {
            return self.close().await;
        }
        loop {
            tokio::select! {
                delivery = poll_fn(|context| Pin::new(&mut self.consumer).poll_next(context)) => {
                    let incoming = match delivery {
                        Some(Ok(delivery)) => read(&delivery),
                        Some(Err(error)) => return Ended::Lost(error.to_string()),
                        None => return Ended::Lost("the broker cancelled the consumer".to_owned()),
                    };
                    if events.send(incoming).await.is_err() {
                        return self.close().await;
                    }
                }
                outgoing = to_send.recv() => {
                    let Some(outgoing) = outgoing else { return self.close().await };
                    if let Err(error) = self.send(&outgoing, events).await {
                        return Ended::Lost(error.to_string());
                    }
                }
            }
        }
    }

    async fn send(&self, outgoing: &Outgoing, events: &Sender<Incoming>) -> lapin::Result<()> {
        let Some(number) = outgoing.confirm else {
            publish(&self.plain, &self.user, outgoing).await?;
            return Ok(());
        };
        let confirm = publish(&self.confirmed, &self.user, outgoing).await?;
        let events = events.clone();
        // Not awaited here: the messages behind it need not wait for the broker's answer.
        tokio::spawn(async move {
            if let Ok(Confirmation::Ack(returned)) = confirm.await {
                let routed = returned.is_none();
                // Without a reader there is nobody to tell.
                let _ = events.send(Incoming::Settled { number, routed }).await;
            }
        });
        Ok(())
    }

    /// A last message may still be on its way: the close waits behind it.
    async fn close(self) -> Ended {
        let close = self.connection.close(200, ShortString::from("bye"));
        let _ = tokio::time::timeout(BUS_STEP_TIMEOUT, close).await;
        Ended::ByUs
    }
}

/// Declares it, or looks for it where the right to declare is missing. A refusal closes its channel, so each
/// has its own.
async fn declare_exchange(connection: &Connection) -> Result<(), OpenError> {
    let mut first = None;
    for passive in [false, true] {
        let channel = step("channel", connection.create_channel()).await?;
        let options = ExchangeDeclareOptions { durable: true, passive, ..ExchangeDeclareOptions::default() };
        let declare =
            channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default());
        match step("exchange.declare", declare).await {
            Ok(()) => {
                // The channel has done its work; if it cannot be closed the connection is gone too.
                let _ = step("channel.close", channel.close(200, ShortString::from("done"))).await;
                return Ok(());
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.expect("both attempts were refused"))
}

async fn publish(
    channel: &Channel,
    user: &str,
    outgoing: &Outgoing,
) -> lapin::Result<lapin::PublisherConfirm> {
    let options =
        BasicPublishOptions { mandatory: outgoing.confirm.is_some(), ..BasicPublishOptions::default() };
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(1)
        .with_expiration(outgoing.ttl.as_millis().to_string().as_str().into())
        .with_user_id(user.into());
    channel
        .basic_publish(EXCHANGE.into(), outgoing.key.as_str().into(), options, &outgoing.body, properties)
        .await
}

fn read(delivery: &Delivery) -> Incoming {
    let key = delivery.routing_key.as_str();
    match parse(key, &delivery.data) {
        Ok(message) => {
            let user = delivery.properties.user_id().as_ref().map(|user| user.as_str().to_owned());
            Incoming::Message(message, user)
        }
        Err(error) => Incoming::Unreadable { key: key.to_owned(), why: error.to_string() },
    }
}
