//! Why a client was refused: told to the log and counted, never told to the client.

/// See the module's documentation. None of it comes from a client, so it may be a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Missing,
    TooLong,
    Malformed,
    Header,
    Algorithm,
    UnknownKey,
    KeysUnread,
    KeyEnded,
    Signature,
    Expired,
    NotYet,
    Issuer,
    Audience,
    Claims,
    Revoked,
}

impl Reason {
    pub(super) const ALL: [Self; 15] = [
        Self::Missing,
        Self::TooLong,
        Self::Malformed,
        Self::Header,
        Self::Algorithm,
        Self::UnknownKey,
        Self::KeysUnread,
        Self::KeyEnded,
        Self::Signature,
        Self::Expired,
        Self::NotYet,
        Self::Issuer,
        Self::Audience,
        Self::Claims,
        Self::Revoked,
    ];

    /// As a label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::KeysUnread => "keys_unread",
            Self::KeyEnded => "key_ended",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
            Self::Revoked => "revoked",
        }
    }

    /// For the person who reads the log.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Missing => "it showed no token and no key",
            Self::TooLong => "its token or key is longer than 8 KiB",
            Self::Malformed => "its token is not three parts of base64url that hold JSON, each name once",
            Self::Header => "its token brings a key or an extension of its own (jku, jwk, x5u, x5c, crit)",
            Self::Algorithm => "its token is not signed with the algorithm of the key that it names",
            Self::UnknownKey => {
                "its key, or the key that its token names, is not in the configuration, nor at auth.jwks_url"
            }
            Self::KeysUnread => {
                "the keys at auth.jwks_url have not been read yet, and its token names none of the configuration"
            }
            Self::KeyEnded => "its key, or the key that signed its token, has ended (valid_until)",
            Self::Signature => "the signature of its token does not fit",
            Self::Expired => "its token has expired",
            Self::NotYet => "its token is not valid yet",
            Self::Issuer => "the issuer of its token is not in auth.issuers",
            Self::Audience => "its token is for somebody else: see auth.audiences",
            Self::Claims => "a claim of its token is missing, twice there, or of the wrong type",
            Self::Revoked => "its token or key is revoked",
        }
    }
}
