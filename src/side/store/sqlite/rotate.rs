//! Another secret for an app.

use super::{Sqlite, int, write};
use crate::store::Trouble;
use rusqlite::params;

impl Sqlite {
    /// Gives an app of the store another secret. False: there is none with this ident.
    ///
    /// # Errors
    /// It cannot write.
    pub fn replace_secret(
        &mut self,
        ident: &str,
        secret: &str,
        unix_s: u64,
    ) -> Result<bool, Trouble> {
        let replaced = write::within(&self.connection, |connection| {
            let mut statement = connection.prepare_cached(
                "UPDATE app SET secret = ?2, modified_s = ?3
                 WHERE ident = ?1 AND NOT is_of_settings",
            )?;
            statement.execute(params![ident, secret, int(unix_s)])
        });
        replaced
            .map(|rows| rows > 0)
            .map_err(|error| self.failed("replace a secret", &error))
    }
}
