//! What an engine that stands in front of another one, its `inner`, does not change.
//!
//! Left to write are what it answers, `commit`, `sync` and `recover`.

macro_rules! pass_on {
    () => {
        pass_on! {
            last_event() -> u64;
            reader() -> Option<Box<dyn fanwire::side::store::Reading>>;
            apps() -> Vec<fanwire::store::AppRecord>;
            adopt(idents: &[&str], unix_s: u64) -> Vec<fanwire::store::AppRow>;
            remembered(app: fanwire::store::AppRow) -> fanwire::store::Remembered;
            ended_sessions(unix_s: u64) -> Vec<fanwire::store::EndedSession>;
            retire(keep: &fanwire::side::store::Retention, rows: usize)
                -> fanwire::side::store::Retired;
            sweep(from_micros: u64, after: u64, rows: usize) -> fanwire::side::store::Swept;
            was_changed_by_others() -> bool;
            rest() -> ();
            check() -> Vec<String>;
            close() -> ();
        }
    };
    ($($name:ident($($argument:ident: $kind:ty),*) -> $told:ty;)*) => {$(
        fn $name(&mut self, $($argument: $kind),*) -> Result<$told, fanwire::store::Trouble> {
            self.inner.$name($($argument),*)
        }
    )*};
}

pub(crate) use pass_on;
