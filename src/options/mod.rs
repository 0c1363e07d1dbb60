//! Settings: one table of options, the texts they are read from, and the checked [`Config`].
//!
//! Everything here is a pure function of what it is given: the text of a file, the environment as
//! a list of pairs, arguments, and a function that reads the few files which hold a secret. Nothing
//! asks the system for anything, so every rule is tested as data.
//!
//! ```text
//!  file (TOML) ─┐
//!  file (INI) ──┤ channelstream.rs: the original's names and rules
//!  environment ─┼──► entries: key, value, source ──► table.rs: one row per option ──► Config
//!  arguments ───┘                                                                       │
//!                                          check.rs: what the values mean together ◄────┘
//! ```
//!
//! Pushi's variables (`pushi_env.rs`) take the place of a file where they are asked for.
//!
//! Later entries win: defaults, file, environment, arguments. After the start nobody reads options;
//! everyone is handed the [`Config`], or the part of it that concerns them.
//!
//! The table ([`OPTIONS`]) feeds the reader, the names in the environment, `config dump`,
//! `config explain` and `docs/options.md`. Adding an option is a field in `config.rs` and a row in
//! `table.rs`. What stands in each `[[app]]` is a table of its own ([`APP_OPTIONS`]): `app.rs`,
//! `table/apps.rs`, and `check/apps.rs`.

#[cfg_attr(not(feature = "server"), allow(dead_code))]
mod app;
#[cfg(feature = "server")]
mod channelstream;
mod check;
#[cfg_attr(not(feature = "server"), allow(dead_code))]
mod config;
mod ini;
#[cfg(feature = "server")]
mod load;
#[cfg(feature = "server")]
pub mod make_config;
mod nearest;
// Without the reader of files nobody sets a row; the rows and what they show stay.
#[cfg_attr(not(feature = "server"), allow(dead_code))]
mod opt;
#[cfg(feature = "server")]
mod pushi_env;
mod show;
mod table;
#[cfg(feature = "server")]
mod toml_file;
#[cfg_attr(not(feature = "server"), allow(dead_code))]
mod value;
#[cfg(feature = "server")]
mod write_toml;

pub use crate::peers::PeerList;
pub use app::{APPS_MAX, App, Protocol, Webhook, WebhookEvent};
pub use check::{Severity, check};
pub use config::{
    Admin, Certificate, Channelstream, Config, Deliveries, Durability, Limits, ListenAddr, Pusher,
    Pushi, Scheme, Secret, Store, Timeouts, Tls, TlsListener, UNLIMITED, UNLIMITED_U32,
    UNLIMITED_U64,
};
pub use ini::{Ini, IniError, fuzz_ini};
#[cfg(feature = "server")]
pub use load::{FileKind, Inputs, Loaded, ReadFile, file_kind, ini_named, load};
pub use nearest::nearest;
pub use opt::{AppSources, Known, Opt, Problem, Source, Sources, find, unknown};
#[cfg(feature = "server")]
pub use pushi_env::is_pushi_variable;
pub use show::{document, dump, explain, explain_all};
pub use table::OPTIONS;
pub use table::apps::APP_OPTIONS;
#[cfg(feature = "server")]
pub use write_toml::{FreshSecrets, fresh_toml, imported_toml};
