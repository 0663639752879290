package org.leveret.door.tomcat;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Address;
import com.rabbitmq.client.BuiltinExchangeType;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.ShutdownSignalException;
import com.rabbitmq.client.impl.NetworkConnection;
import java.io.IOException;
import java.net.InetAddress;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.TimeoutException;

/** One link, from the connect to its loss. All but the callbacks is called by the link's thread. */
final class BusSession implements AutoCloseable {

    /** A change whose confirm is awaited. */
    private record Change(InstanceId id, long seq) {
    }

    private final Connection connection;
    private final Channel publisher;
    private final Channel consumer;
    private final String queue;
    private final String user;
    /** Changes by the number that the channel gave their message. */
    private final NavigableMap<Long, Change> unsettled = new ConcurrentSkipListMap<>();
    /** Numbers of messages that came back because no queue wanted them. The return comes before the confirm. */
    private final Set<Long> returned = ConcurrentHashMap.newKeySet();

    BusSession(ConnectionFactory factory, Bus.Target target, Bus bus) throws IOException, TimeoutException {
        String host = target.address().getHostAddress();
        connection = factory.newConnection(List.of(new Address(host, target.broker().port())), bus.name());
        user = target.broker().user();
        try {
            declareExchange();
            publisher = connection.createChannel();
            publisher.confirmSelect();
            consumer = connection.createChannel();
            Map<String, Object> arguments =
                    Map.of("x-max-length", Limits.QUEUE_MESSAGES_MAX, "x-overflow", "drop-head");
            queue = consumer.queueDeclare("", false, true, true, arguments).getQueue();
            for (String key : bus.keys()) {
                bind(key);
            }
            listen(bus);
        } catch (IOException | RuntimeException error) {
            connection.abort(Limits.STEP_TIMEOUT_MS);
            throw error;
        }
    }

    /**
     * Declares the exchange, or looks for it where the right to declare is missing. A refusal closes its
     * channel, so each attempt has its own.
     */
    private void declareExchange() throws IOException, TimeoutException {
        try (Channel channel = connection.createChannel()) {
            channel.exchangeDeclare(Bus.EXCHANGE, BuiltinExchangeType.TOPIC, true);
        } catch (IOException refused) {
            if (!connection.isOpen()) {
                throw refused;
            }
            try (Channel channel = connection.createChannel()) {
                channel.exchangeDeclarePassive(Bus.EXCHANGE);
            } catch (IOException missing) {
                throw refused;
            }
        }
    }

    private void listen(Bus bus) throws IOException {
        Bus.Events events = bus.events();
        publisher.addReturnListener(message -> {
            if (message.getProperties().getMessageId() != null) {
                returned.add(Long.parseLong(message.getProperties().getMessageId()));
            }
        });
        publisher.addConfirmListener(
                (number, multiple) -> settle(events, number, multiple, true),
                (number, multiple) -> settle(events, number, multiple, false));
        connection.addShutdownListener(cause -> bus.wake());
        consumer.basicConsume(queue, true, "", false, true, null, new DefaultConsumer(consumer) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
                MessageReader.read(envelope.getRoutingKey(), body, properties.getUserId()).ifPresent(events::onMessage);
            }

            @Override
            public void handleCancel(String tag) {
                // The queue is gone: only a new link has one.
                connection.abort(AMQP.RESOURCE_ERROR, "the broker cancelled the consumer", 0);
            }

            @Override
            public void handleShutdownSignal(String tag, ShutdownSignalException cause) {
                if (!cause.isHardError()) {
                    connection.abort(AMQP.CHANNEL_ERROR, "the broker closed the channel", 0);
                }
            }
        });
    }

    private void settle(Bus.Events events, long number, boolean multiple, boolean taken) {
        NavigableMap<Long, Change> settled =
                multiple ? unsettled.headMap(number, true) : unsettled.subMap(number, true, number, true);
        settled.forEach((each, change) -> {
            settled.remove(each);
            boolean routed = !returned.remove(each);
            // What the broker could not take is said again within a second.
            if (taken) {
                events.onSettled(change.id(), change.seq(), routed);
            }
        });
    }

    void publish(Announcement announcement, boolean change) throws IOException {
        AMQP.BasicProperties.Builder properties = new AMQP.BasicProperties.Builder()
                .contentType("application/json")
                .deliveryMode(1)
                .expiration(Integer.toString(Limits.INSTANCE_TTL_MS))
                .userId(user);
        if (change) {
            long number = publisher.getNextPublishSeqNo();
            // A message that comes back is known by it.
            properties.messageId(Long.toString(number));
            unsettled.put(number, new Change(announcement.id(), announcement.seq()));
        }
        publisher.basicPublish(
                Bus.EXCHANGE, announcement.routingKey(), change, properties.build(), announcement.toBody());
    }

    void bind(String key) throws IOException {
        consumer.queueBind(queue, Bus.EXCHANGE, key);
    }

    void unbind(String key) throws IOException {
        consumer.queueUnbind(queue, Bus.EXCHANGE, key);
    }

    InetAddress localAddress() {
        return ((NetworkConnection) connection).getLocalAddress();
    }

    boolean isOpen() {
        return connection.isOpen() && publisher.isOpen();
    }

    String whyClosed() {
        ShutdownSignalException reason =
                connection.getCloseReason() == null ? publisher.getCloseReason() : connection.getCloseReason();
        return reason == null ? "closed" : Bus.reason(reason);
    }

    /** A last message may still be on its way. */
    void waitForConfirms() throws InterruptedException, TimeoutException {
        publisher.waitForConfirms(Limits.STEP_TIMEOUT_MS / 2);
    }

    @Override
    public void close() {
        connection.abort(Limits.STEP_TIMEOUT_MS / 2);
    }
}
