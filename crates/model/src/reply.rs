//! Reply codes (AMQP 0-9-1 §1.1 "constants", RabbitMQ's levels) and refusals.

use alloc::string::String;

/// What a refusal closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The channel; the connection lives.
    Channel,
    /// The whole connection.
    Connection,
}

macro_rules! reply_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $scope:ident;)*) => {
        /// A reply code: number, the text that RabbitMQ puts in front of its explanation, and the level it
        /// closes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ReplyCode { $($(#[$doc])* $name,)* }

        impl ReplyCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u16 { match self { $(Self::$name => $code,)* } }
            /// The name, as RabbitMQ writes it in reply texts.
            #[must_use]
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)* } }
            /// What it closes.
            #[must_use]
            pub const fn scope(self) -> Scope { match self { $(Self::$name => Scope::$scope,)* } }
            /// The code with this number.
            #[must_use]
            pub fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

reply_codes! {
    /// Normal end.
    Success = 200, "OK", Connection;
    /// Body larger than allowed.
    ContentTooLarge = 311, "CONTENT_TOO_LARGE", Channel;
    /// A mandatory message that no queue took; only in basic.return.
    NoRoute = 312, "NO_ROUTE", Channel;
    /// An immediate message that no consumer took; only in basic.return.
    NoConsumers = 313, "NO_CONSUMERS", Channel;
    /// An operator, a drain or a limit ended the connection.
    ConnectionForced = 320, "CONNECTION_FORCED", Connection;
    /// The vhost cannot be named so.
    InvalidPath = 402, "INVALID_PATH", Connection;
    /// No permission.
    AccessRefused = 403, "ACCESS_REFUSED", Channel;
    /// No such thing.
    NotFound = 404, "NOT_FOUND", Channel;
    /// Exclusive to another connection; and what cannot be known in time ([`refusals`](crate::refusals)).
    ResourceLocked = 405, "RESOURCE_LOCKED", Channel;
    /// A condition of the request does not hold.
    PreconditionFailed = 406, "PRECONDITION_FAILED", Channel;
    /// A frame cannot be decoded.
    FrameError = 501, "FRAME_ERROR", Connection;
    /// A field has an illegal value.
    SyntaxError = 502, "SYNTAX_ERROR", Connection;
    /// The method is not valid in this state.
    CommandInvalid = 503, "COMMAND_INVALID", Connection;
    /// A channel was used that is not open.
    ChannelError = 504, "CHANNEL_ERROR", Connection;
    /// A frame that was not due.
    UnexpectedFrame = 505, "UNEXPECTED_FRAME", Connection;
    /// The server is out of a resource.
    ResourceError = 506, "RESOURCE_ERROR", Connection;
    /// Not allowed, whoever asks.
    NotAllowed = 530, "NOT_ALLOWED", Connection;
    /// Not implemented.
    NotImplemented = 540, "NOT_IMPLEMENTED", Connection;
    /// Our bug.
    InternalError = 541, "INTERNAL_ERROR", Connection;
}

/// A request that is answered with an exception: the code says how much closes, the text why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reply code.
    pub code: ReplyCode,
    /// The explanation, without the code's own text in front.
    pub text: String,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(code: ReplyCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}
