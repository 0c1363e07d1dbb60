//! Every bound and default interval of the server, in one place.
//!
//! A name says noun, unit, bound. Relations between bounds are proved by the compiler at the end
//! of the file. Values that an operator may change are the *defaults* of `options`; everything
//! else is fixed. This file contains no logic.

/// 1,024 bytes.
pub const KIB: usize = 1024;
/// 1,024 KiB.
pub const MIB: usize = 1024 * KIB;

// ---- the loop ------------------------------------------------------------------------------

/// Descriptors kept back from connections so that logs, reloads and side services go on working.
pub const DESCRIPTORS_RESERVED: u64 = 64;
/// Length of the kernel's queue of connections not accepted yet.
pub const LISTEN_BACKLOG: i32 = 4096;
/// New sockets taken per turn; the rest waits for the next one.
pub const ACCEPTS_PER_TURN: usize = 256;
/// TLS handshakes advanced per turn; the rest waits for the next one.
pub const TLS_HANDSHAKES_PER_TURN: usize = 16;
/// The one buffer of the loop that every socket is read into.
pub const READ_BUFFER_BYTES: usize = 64 * KIB;
/// Bytes taken from one peer per turn; the rest is resumed in the next one.
pub const READ_BYTES_PER_TURN: usize = 256 * KIB;
/// Bytes handed to the kernel for one peer per turn.
pub const WRITE_BYTES_PER_TURN: usize = MIB;
/// Pieces of one vectored write.
pub const WRITE_PIECES_MAX: usize = 64;
/// Readiness events taken from the kernel per turn.
pub const EVENTS_PER_TURN: usize = 1024;
/// Deadlines attended to per turn, of each kind; the rest waits for the next one.
pub const ALARMS_PER_TURN: usize = 4096;
/// Letters from other threads taken per turn.
pub const MAIL_PER_TURN: usize = 1024;
/// Letters that may wait in the mailbox; beyond it the sender is refused.
pub const MAILBOX_LETTERS_MAX: usize = 65_536;
/// How long accepting pauses after the process ran out of descriptors.
pub const ACCEPT_PAUSE_MS: u64 = 100;
/// Bytes that a peer may leave unread before nothing more is read from it.
pub const READ_PAUSE_QUEUE_BYTES: usize = 256 * KIB;
/// The longest that a thread may be told to look for more to do before it sleeps.
pub const BUSY_POLL_MS_MAX: u64 = 1_000;
/// Without progress in writing for this long, a peer is a slow consumer.
pub const WRITE_STALL_MS: u64 = 15_000;
/// After a refusal: how long the rest of the peer's bytes is read and thrown away.
pub const LINGER_MS: u64 = 2_000;
/// After a refusal: how many bytes are read and thrown away.
pub const LINGER_BYTES_MAX: usize = 256 * KIB;
/// Peers refused at the door that are lingered with at a time; beyond it the oldest one goes.
pub const REFUSED_LINGERING_MAX: usize = 64;
/// Of the connections there may be, one in so many may be a refused one that is lingered with.
pub const REFUSED_LINGERING_SHARE: usize = 16;
/// Letters are taken for this long in a turn; the rest waits for the next one.
pub const MAIL_MS_PER_TURN: u64 = 5;
/// Peers are read from for this long in a turn; the rest waits for the next one, before others.
pub const READ_MS_PER_TURN: u64 = 10;
/// Peers are written to for this long in a turn; the rest waits for the next one.
pub const WRITE_MS_PER_TURN: u64 = 15;
/// Sockets are closed for this long in a turn; the rest waits for the next one.
pub const CLOSE_MS_PER_TURN: u64 = 5;
/// A turn that took longer is logged with what it spent its time on.
pub const TURN_WARN_MS: u64 = 50;
/// A TLS handshake must be over by then.
pub const TLS_HANDSHAKE_MS: u64 = 10_000;
/// Plaintext gathered into one TLS record at most (RFC 8446 section 5.1).
pub const TLS_RECORD_BYTES: usize = 16 * KIB;

// ---- queues --------------------------------------------------------------------------------

/// Bytes a peer may leave unread before it is a slow consumer; one message always fits.
pub const OUT_QUEUE_BYTES_MAX: usize = MIB;
/// Within a turn, before a peer's socket was asked, its queue may hold this many times as much: a
/// batch that is larger than the limit says nothing about who receives it.
pub const OUT_QUEUE_TURN_FACTOR: usize = 8;
/// What a queued piece is charged beyond its bytes: its place in the queue.
pub const PIECE_OVERHEAD_BYTES: usize = 16;

// ---- timers --------------------------------------------------------------------------------

/// Resolution of the timer wheel.
pub const WHEEL_SLOT_MS: u64 = 50;
/// Slots of the wheel; a later deadline is filed at the horizon and filed again from there.
pub const WHEEL_SLOTS: usize = 4096;

// ---- work ----------------------------------------------------------------------------------

// What a machine without a clock can count: a unit is the time in which one delivery is queued,
// about 0.1 microseconds.

/// Units after which the requests of one peer wait for the next turn.
pub const WORK_PER_CALL: u64 = 32_768;
/// Units after which deadlines wait for the next turn, and as many for jobs.
pub const WORK_PER_TURN: u64 = 65_536;
/// What a request costs at least: its parsing and its answer.
pub const WORK_PER_REQUEST: u64 = 64;
/// What a message costs at least, even if nobody hears it.
pub const WORK_PER_MESSAGE: u64 = 16;
/// What it costs to join or leave a channel, even if nobody is told.
pub const WORK_PER_SUBSCRIPTION: u64 = 16;
/// So many bytes of a body, read or written, cost one unit.
pub const BODY_BYTES_PER_WORK: u64 = 16;
/// So many bytes of encoded frames cost one unit; this bounds what a turn adds to one queue.
pub const FRAME_BYTES_PER_WORK: u64 = 4;
/// Bytes that the jobs which wait for their turn may hold together; beyond it none begins.
pub const JOB_BYTES_MAX: usize = 128 * MIB;

// ---- the store -----------------------------------------------------------------------------

/// Writes that may wait for the store, handed over or not.
pub const STORE_QUEUE_JOBS_MAX: usize = 65_536;
/// Bytes of them.
pub const STORE_QUEUE_BYTES_MAX: usize = 64 * MIB;
/// What a write is charged beyond its texts.
pub const STORE_JOB_OVERHEAD_BYTES: usize = 256;
/// Rows that one commit holds; a write with more is a commit of its own.
pub const STORE_COMMIT_ROWS_MAX: usize = 256;
/// With relaxed durability, how often what was written is synced.
pub const STORE_SYNC_EVERY_MS: u64 = 1_000;
/// Events that one answer lists, whatever was asked for.
pub const STORE_EVENTS_LISTED_MAX: u64 = 1_000;
/// Bytes of events or records that one answer lists, beyond the first one.
pub const STORE_ANSWER_BYTES_MAX: usize = 4 * MIB;
/// Records that one answer lists.
pub const STORE_RECORDS_LISTED_MAX: usize = 10_000;
/// Channels that a user's subscriptions come to, those of personal channels followed.
pub const STORE_ALIASES_MAX: usize = 4096;
/// Kept free on the disk by a file that is given up when the disk is full.
pub const STORE_RESERVE_BYTES: usize = MIB;
/// Rows that one step of clearing away what is too old takes.
pub const STORE_RETENTION_ROWS_PER_STEP: usize = 500;
/// Apps that one such step looks at; the next one goes on behind them.
pub const STORE_RETENTION_APPS_PER_STEP: usize = 256;
/// How long nothing is done between two steps of going through all events for those that are too old.
pub const STORE_SWEEP_STEP_MS: u64 = 50;
/// All events are gone through once in a tenth of the age they may have, but no more often than this,
pub const STORE_SWEEP_MS_MIN: u64 = 60 * 1000;
/// and no more rarely than that.
pub const STORE_SWEEP_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// What an event is charged beyond its texts where an app may have so many bytes of them.
pub const STORE_EVENT_OVERHEAD_BYTES: usize = 100;
/// How often the store looks after itself: what is too old, what others have changed, what it tells
/// of its own.
pub const STORE_TICK_MS: u64 = 1_000;
/// How often ended sessions that would be over by themselves are dropped.
pub const STORE_SESSIONS_SWEEP_MS: u64 = 60 * 60 * 1000;
/// How long a store that failed waits before it tries whether it can write again.
pub const STORE_RETRY_MS_MIN: u64 = 100;
/// The same after many tries in vain.
pub const STORE_RETRY_MS_MAX: u64 = 5_000;
/// How long another process that writes to the database is waited for.
pub const STORE_BUSY_MS: u64 = 5_000;
/// Databases up to this size are checked whole at the start; larger ones at their edges.
pub const STORE_CHECK_BYTES_MAX: u64 = 128 * MIB as u64;
/// Names of channels whose numbers are remembered, and as many of users.
pub const STORE_NAMES_CACHED_MAX: usize = 65_536;
/// Bytes of such a name. Longer ones are looked up each time.
pub const STORE_NAME_CACHED_BYTES_MAX: usize = 128;
/// Publishes in several writes that may be under way at a time; beyond it the oldest is taken to be
/// over.
pub const STORE_SERVING_MAX: usize = 1_024;
/// Questions that are answered before their answers are told together.
pub const STORE_ANSWERS_TOLD_MAX: usize = 16;
/// A line of an export that is taken over: a document of MongoDB's 16 MiB with all in it escaped.
pub const IMPORT_LINE_BYTES_MAX: usize = 64 * MIB;
/// How far ahead of now an imported event may be dated: clocks differ, and zones are mistaken.
pub const IMPORT_AHEAD_S_MAX: u64 = 24 * 60 * 60;
/// Documents that are taken over with one commit.
pub const IMPORT_BATCH_DOCUMENTS: usize = 1_000;
/// Bytes of documents after which a commit is made, however few they are.
pub const IMPORT_BATCH_BYTES: usize = 8 * MIB;

// ---- HTTP ----------------------------------------------------------------------------------

/// Request line, headers and trailers of one request.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * KIB;
/// Headers of one request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// The request target.
pub const HTTP_TARGET_BYTES_MAX: usize = 8 * KIB;
/// The body of one request.
pub const HTTP_BODY_BYTES_MAX: usize = 8 * MIB;
/// The body of a request that needs none, or only an id or a signature: as much as a head, so that
/// callers who prove nothing hold little.
pub const HTTP_SMALL_BODY_BYTES_MAX: usize = 16 * KIB;
/// Extensions of one chunk.
pub const HTTP_CHUNK_EXTENSION_BYTES_MAX: usize = 256;
/// A request head must be whole after this time, however it trickles.
pub const HTTP_HEAD_MS: u64 = 10_000;
/// A body may stand still for this long.
pub const HTTP_BODY_STALL_MS: u64 = 30_000;
/// After this time a body must have come at [`HTTP_BODY_BYTES_PER_S_MIN`].
pub const HTTP_BODY_GRACE_MS: u64 = 10_000;
/// The slowest a body may come.
pub const HTTP_BODY_BYTES_PER_S_MIN: u64 = 1024;
/// A connection may idle for this long between requests.
pub const HTTP_IDLE_MS: u64 = 75_000;
/// What `Retry-After` says to a peer whose address has as many connections as it may.
pub const HTTP_RETRY_AFTER_S: u64 = 5;

// ---- WebSocket -----------------------------------------------------------------------------

/// One message, put together.
pub const MESSAGE_BYTES_MAX: usize = MIB;
/// Fragments of one message, empty ones counted.
pub const MESSAGE_FRAGMENTS_MAX: u32 = 1024;
/// Pings a peer may send per second.
pub const PINGS_PER_S_MAX: u32 = 100;
/// Messages a WebSocket client may send per second, on average.
pub const MESSAGES_PER_S_MAX: u32 = 1000;
/// Messages a WebSocket client may send in a burst.
pub const MESSAGES_BURST_MAX: u32 = 2000;
/// How long our Close waits for theirs.
pub const WS_CLOSE_MS: u64 = 5_000;
/// After silence of this length the server pings (Channelstream).
pub const WS_PING_AFTER_MS: u64 = 25_000;
/// How long a ping waits for any byte.
pub const WS_PONG_MS: u64 = 30_000;
/// Longest payload of a control frame (RFC 6455 section 5.5).
pub const WS_CONTROL_BYTES_MAX: usize = 125;

// ---- the hub -------------------------------------------------------------------------------

/// Channels one subscriber may be in.
pub const CHANNELS_PER_SUBSCRIBER_MAX: usize = 4096;
/// Messages a channel's history keeps, whatever its own setting says.
pub const HISTORY_MESSAGES_MAX: usize = 10_000;
/// Bytes a channel's history keeps.
pub const HISTORY_BYTES_MAX: usize = 4 * MIB;
/// Messages a channel's history keeps if nothing is said.
pub const HISTORY_MESSAGES_DEFAULT: u64 = 10;
/// Events a channel keeps for catch-up.
pub const CATCH_UP_EVENTS_MAX: usize = 100;
/// Bytes a channel or a user keeps for catch-up.
pub const CATCH_UP_BYTES_MAX: usize = 4 * MIB;
/// Private events a user keeps for catch-up.
pub const CATCH_UP_PRIVATE_MAX: usize = 50;
/// Events that a subscriber is caught up with at a time; who missed more is told to begin anew.
pub const CATCH_UP_REPLAYED_MAX: usize = 16_384;
/// The same in bytes, beyond the first event.
pub const CATCH_UP_REPLAYED_BYTES_MAX: usize = 8 * MIB;
/// Members listed per channel; counting goes on.
pub const MEMBERS_LISTED_MAX: usize = 10_000;
/// Bytes of state that a list of members in one frame shows; members beyond it are not listed.
pub const MEMBERS_STATE_BYTES_MAX: usize = MIB;
/// Subscribers who hear of every change of their number at once, where they are told it.
pub const COUNT_AT_ONCE_MAX: usize = 100;
/// How often a larger crowd hears of changes.
pub const COUNT_EVERY_MS: u64 = 5_000;
/// Cached channels that show something, or were found empty, over all apps.
pub const CACHED_CHANNELS_MAX: usize = 65_536;
/// Bytes of what they show.
pub const CACHED_BYTES_MAX: usize = 64 * MIB;
/// A channel without members, history and settings of its own goes after this long.
pub const CHANNEL_FORGET_MS: u64 = 60_000;
/// A channel with settings of its own goes after this long without members and messages.
pub const CHANNEL_CONFIGURED_FORGET_MS: u64 = 72 * 60 * 60 * 1000;
/// A user with state but without subscribers is forgotten after this long.
pub const USER_FORGET_MS: u64 = 24 * 60 * 60 * 1000;
/// Keys of one user's state, and how many of them may be public.
pub const STATE_KEYS_MAX: usize = 4096;
/// Bytes of one user's state, keys and values; the names of its public keys have as many.
pub const STATE_BYTES_MAX: usize = 256 * KIB;
/// Users with state but without subscribers that are remembered at a time.
pub const USERS_REMEMBERED_MAX: usize = 100_000;

// ---- dialects ------------------------------------------------------------------------------

/// Nesting of any JSON that is read.
pub const JSON_DEPTH_MAX: usize = 64;
/// Channelstream: characters of a user name.
pub const CS_USER_CHARS_MAX: usize = 512;
/// Channelstream: characters of a channel name or state key.
pub const CS_CHANNEL_CHARS_MAX: usize = 256;
/// Channelstream: `[]` is sent on every open socket this often.
pub const CS_HEARTBEAT_MS: u64 = 5_000;
/// Channelstream: a connection without socket expires this long after its last activity.
pub const CS_EXPIRE_MS: u64 = 15_000;
/// Channelstream: a connection whose socket closed may come back within this time.
pub const CS_RETURN_MS: u64 = 1_000;
/// Channelstream: a poll without news is answered after this long.
pub const CS_POLL_WAKE_MS: u64 = 5_000;
/// Channelstream: a poll with news is answered once nothing more has come for this long.
pub const CS_POLL_GATHER_MS: u64 = 250;
/// Channelstream: or this long after the first news.
pub const CS_POLL_LONGEST_MS: u64 = 1_000;
/// Channelstream: or with so many of them.
pub const CS_POLL_FRAMES_MAX: usize = 100;
/// Channelstream: a connection whose event stream ended may come back within this time.
pub const CS_STREAM_GRACE_MS: u64 = 60_000;
/// Channelstream: how long a browser waits before it opens a lost event stream again.
pub const CS_STREAM_RETRY_MS: u64 = 2_000;
/// Channelstream: age of a signature.
pub const CS_SIGNATURE_AGE_S: u64 = 60;
/// Channelstream: messages of one request; each takes a dozen times the bytes of the shortest one.
pub const CS_MESSAGES_PER_REQUEST_MAX: usize = 65_536;
/// Channelstream: names in one list.
pub const CS_NAMES_PER_LIST_MAX: usize = 65_536;
/// Channelstream: members of one mapping, repeated keys counted.
pub const CS_KEYS_PER_MAPPING_MAX: usize = 4096;
/// Channelstream: entries of one list or mapping whose faults are listed in a refusal.
pub const CS_FAULTS_LISTED_MAX: usize = 100;
/// Pusher: characters of a channel's name, unless an app says otherwise.
pub const PUSHER_CHANNEL_CHARS: usize = 164;
/// Pusher: characters of a channel's name that an app may allow.
pub const PUSHER_CHANNEL_CHARS_MAX: usize = 200;
/// Pusher: characters of an event's name.
pub const PUSHER_EVENT_CHARS_MAX: usize = 200;
/// Pusher: bytes of the data of one event.
pub const PUSHER_EVENT_BYTES_MAX: usize = 10 * KIB;
/// Pusher: bytes of one WebSocket message.
pub const PUSHER_MESSAGE_BYTES_MAX: usize = 64 * KIB;
/// Pusher: bytes of the body of one request: ten events with everything in them escaped.
pub const PUSHER_BODY_BYTES_MAX: usize = 256 * KIB;
/// Pusher: channels that one event goes to.
pub const PUSHER_CHANNELS_PER_EVENT_MAX: usize = 100;
/// Pusher: events of one batch.
pub const PUSHER_BATCH_EVENTS_MAX: usize = 10;
/// Pusher: client events of one socket in a second, and at once.
pub const PUSHER_CLIENT_EVENTS_PER_S: u32 = 10;
/// Pusher: users present in one channel.
pub const PUSHER_MEMBERS_MAX: usize = 100;
/// Pusher: bytes of what a member tells of itself.
pub const PUSHER_MEMBER_INFO_BYTES_MAX: usize = KIB;
/// Pusher: characters of the id of a user.
pub const PUSHER_USER_CHARS_MAX: usize = 128;
/// Pusher: users that one socket watches.
pub const PUSHER_WATCHLIST_MAX: usize = 100;
/// Pusher: how long a cache channel remembers its last event.
pub const PUSHER_CACHE_MS: u64 = 30 * 60 * 1000;
/// Pusher: how far the clock of an application may be off, either way.
pub const PUSHER_TIMESTAMP_S: u64 = 600;
/// Pusher: seconds of silence after which a client pings.
pub const PUSHER_ACTIVITY_S: u64 = 120;
/// Pusher: how long a ping of ours waits for any word.
pub const PUSHER_PONG_MS: u64 = 30_000;
/// Pusher: the time within which a socket must have proved something, where an app demands it.
pub const PUSHER_AUTHORIZE_MS: u64 = 30_000;
/// Pushi: bytes of a channel's name.
pub const PUSHI_CHANNEL_BYTES_MAX: usize = KIB;
/// Pushi: bytes of the name of a peer channel, which two users and the name of a channel make up.
pub const PUSHI_PEER_CHANNEL_BYTES_MAX: usize = 2 * KIB;
/// Pushi: bytes of an event's name.
pub const PUSHI_EVENT_BYTES_MAX: usize = KIB;
/// Pushi: bytes of the id of a user.
pub const PUSHI_USER_BYTES_MAX: usize = 512;
/// Pushi: bytes of what a member tells of itself, as compact JSON.
pub const PUSHI_CHANNEL_DATA_BYTES_MAX: usize = 8 * KIB;
/// Pushi: channels that one event goes to.
pub const PUSHI_CHANNELS_PER_EVENT_MAX: usize = 100_000;
/// Pushi: bytes that one event comes to where it is stored, as each of its channels has its own.
pub const PUSHI_STORED_BYTES_MAX: usize = 64 * MIB;
/// Pushi: fields of one body, repeated ones counted.
pub const PUSHI_FIELDS_MAX: usize = 4096;
/// Pushi: bytes of the headers of one part of a form.
pub const PUSHI_PART_HEAD_BYTES_MAX: usize = 4 * KIB;
/// Pushi: bytes of an address that a record names.
pub const PUSHI_TARGET_BYTES_MAX: usize = 4 * KIB;
/// Pushi: bytes of each of the two keys of a browser.
pub const PUSHI_BROWSER_KEY_BYTES_MAX: usize = KIB;
/// Pushi: bytes of an app's name.
pub const PUSHI_APP_NAME_BYTES_MAX: usize = 512;
/// Pushi: bytes of any other field of an app, such as a certificate.
pub const PUSHI_APP_FIELD_BYTES_MAX: usize = 64 * KIB;
/// Pushi: hex digits of an app's key.
pub const PUSHI_KEY_DIGITS: usize = 64;
/// Pushi: apps that one address may make per minute, where anybody may make one.
pub const PUSHI_REGISTRATIONS_PER_MINUTE: u32 = 60;
/// Pushi: how long a session of an application lasts.
pub const PUSHI_SESSION_S: u64 = 31 * 24 * 60 * 60;
/// Pushi: how far ahead of our clock a session may have begun, as clocks are set back at times.
pub const PUSHI_SESSION_AHEAD_S: u64 = 60 * 60;
/// Pushi: sessions of one app that are remembered as logged out before their time.
pub const PUSHI_ENDED_SESSIONS_MAX: usize = 65_536;
/// How long one attempt to deliver something, such as a webhook, may take.
pub const DELIVERY_MS: u64 = 4_000;
/// Attempts to deliver something.
pub const DELIVERY_ATTEMPTS_MAX: u32 = 8;
/// Pushi: bytes of a body that brings nothing but a few fields.
pub const PUSHI_FIELDS_BODY_BYTES_MAX: usize = 256 * KIB;
/// Pushi: bytes after which a list of sockets ends.
pub const PUSHI_SOCKETS_LISTED_BYTES_MAX: usize = 8 * MIB;
/// Pushi: after silence of this length the server pings.
pub const PUSHI_PING_AFTER_MS: u64 = 60_000;
/// Pushi: channels that one socket is in because of personal ones, each counted for each of these.
pub const PUSHI_BROUGHT_MAX: usize = 16_384;
/// Pushi: channels of pairs that one socket has left by name and is remembered for.
pub const PUSHI_LEFT_PAIRS_MAX: usize = 4096;
/// Pushi: events that may be passed over; the store walks over each of them.
pub const PUSHI_SKIP_MAX: u64 = 100_000;
/// Pushi: events that come with a personal channel.
pub const PUSHI_WAITING_EVENTS: u64 = 10;
/// Pushi: ways of reading the name of a peer channel that are tried, if it has several colons and
/// ampersands.
pub const PUSHI_PEER_NAME_TRIES_MAX: usize = 1024;
/// Pushi: adapters that one direct message goes out by.
pub const PUSHI_ADAPTERS_MAX: usize = 16;
/// Pushi: bytes of the name of one.
pub const PUSHI_ADAPTER_BYTES_MAX: usize = 64;
/// Pushi: addresses of which it is remembered how many apps they made.
pub const REGISTRATION_ADDRESSES_MAX: usize = 1024;
/// Pushi: the time within which these apps are counted.
pub const REGISTRATION_WINDOW_MS: u64 = 60_000;
/// How long a push service may keep a message for a browser that is away.
pub const WEB_PUSH_TTL_S: u64 = 24 * 60 * 60;
/// Admin: a wrong password is answered after this time.
pub const SIGN_IN_DELAY_MS: u64 = 500;
/// Admin: wrong passwords from one address within [`SIGN_IN_WINDOW_MS`], after which it waits.
pub const SIGN_IN_FAILURES_MAX: u32 = 10;
/// Admin: the time within which wrong passwords are counted.
pub const SIGN_IN_WINDOW_MS: u64 = 60_000;
/// Admin: addresses of which wrong passwords are remembered.
pub const SIGN_IN_ADDRESSES_MAX: usize = 1024;
/// Admin: how long a session lasts.
pub const SESSION_S: u64 = 30 * 24 * 60 * 60;
/// Admin: sessions that are remembered as signed out before they expired.
pub const SIGNED_OUT_KEPT_MAX: usize = 1024;
/// Admin: rows of one page of a list.
pub const PAGE_ROWS_MAX: usize = 200;
/// Admin: places of a table that one page looks at.
pub const PAGE_PLACES_MAX: usize = 4096;
/// Admin: bytes after which a page ends, whatever its rows.
pub const PAGE_BYTES_MAX: usize = 256 * KIB;

/// Channelstream: characters of the name of a JSONP callback.
pub const CS_CALLBACK_CHARS_MAX: usize = 128;

/// How long a stop may take before the process gives up on what is still open.
pub const DRAIN_MS: u64 = 10_000;
/// During a stop: how long a head that has begun may still take, if half of the whole is not less.
pub const DRAIN_HEAD_MS: u64 = 2_000;

const _: () = assert!(
    usize::BITS == 64,
    "a mio token carries index and generation"
);
const _: () = assert!(
    HTTP_HEAD_BYTES_MAX <= READ_BUFFER_BYTES,
    "a head fits one read"
);
const _: () = assert!(
    READ_BUFFER_BYTES <= READ_BYTES_PER_TURN,
    "a turn reads at least once"
);
const _: () = assert!(
    HTTP_TARGET_BYTES_MAX <= HTTP_HEAD_BYTES_MAX,
    "a target fits a head"
);
const _: () = assert!(
    MESSAGE_BYTES_MAX <= OUT_QUEUE_BYTES_MAX,
    "one message fits the queue"
);
const _: () = assert!(
    READ_PAUSE_QUEUE_BYTES < OUT_QUEUE_BYTES_MAX,
    "reading stops before closing"
);
const _: () = assert!(
    PUSHI_STORED_BYTES_MAX <= STORE_QUEUE_BYTES_MAX,
    "what is taken to be stored may wait for it"
);
const _: () = assert!(
    PUSHI_CHANNEL_BYTES_MAX + 2 * PUSHI_USER_BYTES_MAX <= PUSHI_PEER_CHANNEL_BYTES_MAX,
    "every pair of members can be named"
);
const _: () = assert!(WHEEL_SLOTS.is_power_of_two() && WHEEL_SLOTS >= 64);
const _: () = assert!(
    CS_HEARTBEAT_MS < CS_EXPIRE_MS,
    "a heartbeat comes before expiry"
);
