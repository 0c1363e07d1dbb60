//! The texts of `--help`. What they name exists; what does not exist yet is not named.

/// What help was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Topic {
    All,
    Run,
    Dev,
    Init,
    Import,
    MakeConfig,
    Config,
    Sign,
    Store,
    App,
}

impl Topic {
    /// The text.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::All => ALL,
            Self::Run => RUN,
            Self::Dev => DEV,
            Self::Init => INIT,
            Self::Import => IMPORT,
            Self::MakeConfig => MAKE_CONFIG,
            Self::Config => CONFIG,
            Self::Sign => SIGN,
            Self::Store => STORE,
            Self::App => APP,
        }
    }
}

/// What a newcomer needs.
pub(crate) const WELCOME: &str = "\
fanwire: a lean realtime server.

  fanwire dev                      try it on this machine, with ready-made keys
  fanwire init                     write settings for this machine
  fanwire run -i FILE              run the server, with Channelstream's INI files too

More: fanwire --help
";

const ALL: &str = "\
Usage: fanwire COMMAND

  run                      run the server in the foreground
  dev                      the same for development: loopback only, well-known keys
  init [DIR]               write settings with fresh secrets, and a systemd unit
  import channelstream     turn an INI file of Channelstream into settings
  import pushi             take over the data of a Pushi installation
  make-config              write an INI file, as channelstream_utils make_config does
  config check             check the configuration
  config dump              show the effective configuration, secrets masked
  config explain KEY       show value, source and default of one option
  sign channelstream       sign a string as a web application does
  sign channel             sign that a socket may join a channel, as an application of Pusher does
  sign request             sign a request to Pusher's HTTP API
  sign pushi               sign that a socket, or a record, may have a channel of Pushi
  app add NAME             make an app in the store, with credentials of its own
  app list                 show the apps in the store
  app rotate ID            give an app in the store another secret
  store check              see whether the database file is sound
  store backup FILE        copy it, also while the server runs
  store compact            give back the room of what was removed from it
  version                  version, commit and features

  -h, --help               this text; after a command, more about it
  -v, --version            the version number alone

Exit codes: 0 clean, 1 could not start, 2 usage or configuration, 3 stopping took too long,
4 the store is damaged, read-only or none.
";

const RUN: &str = "\
Usage: fanwire run [--config FILE | --pushi-env] [--listen ADDR]... [--set KEY=VALUE]...

Runs the server in the foreground. SIGTERM and SIGINT stop it, a second one at once.

  --config FILE     settings: TOML, or an INI file of Channelstream; also -i, --ini
  --listen ADDR     listen here instead of where the settings say; may be repeated
                    (127.0.0.1:8000, [::1]:8000, tls:0.0.0.0:8443, unix:/path)
  --set KEY=VALUE   one setting, such as limits.message_bytes=2MiB; may be repeated
  --pushi-env       settings from the variables of Pushi (APP_HOST, SERVER_PORT, SMTP_URL, ...):
                    two addresses, each with or without TLS, both serving everything. Nobody can
                    make apps unasked (pushi.open_registration), and Channelstream is off
                    (channelstream.enabled), unless --set says otherwise

Later sources win: defaults, file, environment (FANWIRE_LIMITS__MESSAGE_BYTES), --set.
Without a file CHANNELSTREAM_* variables are taken, too. Beside an INI file the environment
is not looked at. All options: fanwire config explain --all
";

const DEV: &str = "\
Usage: fanwire dev [--listen ADDR]...

Runs a server for development on 127.0.0.1:8000 with Channelstream's well-known secret
\"secret\" and the admin pages open. It listens on loopback or Unix sockets only. There is an app
with the id 1, the key 0123456789abcdef (four times in a row) and the secret dev-secret, whose
channels all three protocols share. What is stored lies in a temporary folder, and goes with it when
the server stops.

  --listen ADDR     listen here instead; may be repeated
";

const INIT: &str = "\
Usage: fanwire init [DIR] [--force]

Writes DIR/fanwire.toml, every option explained and with secrets of its own, and
DIR/fanwire.service, a unit for systemd; then prints what to do next. DIR is the working directory
unless given, and is made if it is not there.

  --force           replace files that are there already
";

const IMPORT: &str = "\
Usage: fanwire import channelstream FILE.ini [-o FILE] [--force]
       fanwire import pushi FILE... [STORE]

Turns settings of Channelstream into settings of fanwire that mean the same, every option
explained. What Channelstream ignores is ignored with a warning.

  -o, --output FILE   write there, for the owner's eyes only, instead of to standard output
  --force             replace the file if it is there already

import pushi takes what mongoexport has written, one document a line, into the store: apps with their
ids, keys and secrets, events, waiting events, subscriptions, and records of web hooks, devices,
browsers and mail addresses. Which collection a file has its name says (app.json,
pushievent.json, ...), or else each document. What is there already stays; lines that make no sense
are named and left out, which is exit code 1.

  mongoexport --uri mongodb://localhost --db pushi --collection app --out app.json

STORE is --path FILE, or the settings that name the file: --config FILE, --set KEY=VALUE. Without it
the file is fanwire.db. The server may run, if it has that file: one that was started where there was
none, and had nothing to keep, does without and must be restarted.
";

const STORE: &str = "\
Usage: fanwire store check [STORE]
       fanwire store backup FILE [STORE]
       fanwire store compact [STORE]

  check      reads the whole database file and says what is wrong with it; exit code 4 if anything is
  backup     writes a copy that is whole to FILE, which must not be there yet; the server may run
  compact    writes the file anew without the room of what was removed; stop the server before

STORE is --path FILE, or the settings that name the file: --config FILE, --set KEY=VALUE. Without it
the file is fanwire.db.
";

const APP: &str = "\
Usage: fanwire app add NAME [--protocols LIST] [--id ID] [STORE]
       fanwire app list [STORE]
       fanwire app rotate ID [STORE]

Apps in the store, with a running or a stopped server, which notices by itself. Those of the settings
are not among them.

  add        makes an app and prints its id, key and secret
  list       shows ids, keys, names and protocols, and which are switched off
  rotate     replaces the secret of an app and prints the new one; sessions are over, and what was
             signed with the old one is refused from then on

  --protocols LIST   who may use it: pushi, pusher, or both with a comma (default: pushi)
  --id ID            its id instead of a random one; Pusher's SDK for Python accepts digits only

STORE is --path FILE, or the settings that name the file: --config FILE, --set KEY=VALUE. Without it
the file is fanwire.db.
";

const MAKE_CONFIG: &str = "\
Usage: fanwire make-config [-j JSON] [-o FILE]

Writes an INI file for Channelstream or fanwire, from CHANNELSTREAM_* variables or from JSON, as
channelstream_utils make_config does.

  -j, --json JSON     take the values from this object; the environment is not looked at then
  -o, --output FILE   write there, for the owner's eyes only, instead of to standard output;
                      a file that is there already is replaced
";

const CONFIG: &str = "\
Usage: fanwire config check|dump [SETTINGS]
       fanwire config explain KEY [SETTINGS]
       fanwire config explain --all [--markdown]

  check      every error, warning and note; exit code 2 if there are errors
  dump       the effective configuration as TOML with the source of each value, secrets masked
  explain    value, source, default and meaning of one option, or of --all;
             with --markdown the document of all options

SETTINGS are those of fanwire run: --config FILE or --pushi-env, --listen ADDR, --set KEY=VALUE.
";

const SIGN: &str = "\
Usage: fanwire sign channelstream [--secret SECRET] [--value VALUE] [--at SECONDS] [SETTINGS]
       fanwire sign channel [APP] --socket-id ID --channel NAME [--channel-data JSON] [SETTINGS]
       fanwire sign request [APP] METHOD PATH [--query NAME=VALUE]... [--body FILE|-]
                            [--at SECONDS] [SETTINGS]
       fanwire sign pushi [APP] --for WHO --channel NAME [SETTINGS]

channelstream prints a signed string for the header X-Channelstream-Secret. It is good for 60
seconds.

  --secret SECRET       sign with this secret instead of the configuration's
  --value VALUE         what is signed; anything will do (default: channelstream)
  --at SECONDS          when it is signed, in seconds since 1970 (default: now)

channel prints the \"auth\" with which a socket joins a private or presence channel of Pusher.

  --socket-id ID        the socket, as connection_established names it
  --channel NAME        the channel
  --channel-data JSON   what a presence channel is told of the member; send the same text along

request prints path and query of a request to Pusher's HTTP API, signed for 10 minutes:
  curl \"http://127.0.0.1:8000$(fanwire sign request --app 1 GET /apps/1/channels)\"

  --query NAME=VALUE    a parameter, not escaped; may be repeated
  --body FILE           what will be sent, to the last byte (curl --data-binary @FILE); - is
                        standard input
  --at SECONDS          as above

pushi prints the \"auth\" with which a socket subscribes to a private, presence, personal or peer
channel of Pushi, or with which a hook, device or browser is registered for it.

  --for WHO             the id of the socket, or the url, token, email or endpoint of the record
  --channel NAME        the channel

APP is --app ID, one of the configuration's apps, or --key KEY --secret SECRET, which needs no
configuration. Without either it is the app in PATH, or the only one there is.
SETTINGS are --config FILE and --set KEY=VALUE, as in fanwire run.
";
