//! Why a message was refused: one variant for each ambiguity, so that a test, a metric or a log line
//! can name it, and the status with which a server must answer.
//!
//! Refusing is the policy throughout. A proxy stands between two parsers, and each of the cases below
//! is one where some parser in the wild reads another message than we do; forwarding a guess is what
//! request smuggling is made of (RFC 9112, 11.2).

use std::fmt;

/// A message that must not be forwarded, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
}

impl Error {
    /// Which rule was broken.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The status that a server answers when a *request* was refused for this reason. What came from
    /// an upstream is answered 502 instead, whatever the reason.
    pub fn status(&self) -> u16 {
        self.kind.row().1
    }

    /// A short name in snake case, for metrics and logs. Stable.
    pub fn name(&self) -> &'static str {
        self.kind.row().0
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error { kind }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.row().2)
    }
}

impl std::error::Error for Error {}

/// The rules that a message can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    // --- lines
    /// A line ends with LF alone.
    BareLf,
    /// A CR that is not followed by LF.
    BareCr,
    /// More than one empty line before the first line, or any before a status line.
    EmptyLines,
    // --- the request line
    /// The first line is not `method SP target SP HTTP-version`.
    RequestLine,
    /// The method is longer than any that exists.
    MethodTooLong,
    /// An HTTP version other than 1.0 and 1.1.
    Version,
    /// The target is longer than the limit.
    TargetTooLong,
    /// The target has none of the four forms, or a byte that no URI may have.
    TargetMalformed,
    /// The target has a fragment.
    TargetFragment,
    /// The target's authority has a user name or password.
    TargetUserinfo,
    /// `*` with a method other than OPTIONS.
    AsteriskForm,
    /// CONNECT with anything but `host:port`.
    ConnectTarget,
    // --- the status line
    /// The first line is not `HTTP-version SP 3DIGIT [SP reason]`.
    StatusLine,
    // --- fields
    /// The head is longer than the limit.
    HeadTooLarge,
    /// More fields than the limit.
    TooManyFields,
    /// A field line that continues the one before it.
    ObsFold,
    /// Blank between a field name and its colon.
    SpaceBeforeColon,
    /// A line among the fields that has no colon.
    MissingColon,
    /// A field name that is empty or has a byte that no token has.
    FieldName,
    /// A control character in a field value.
    FieldValue,
    /// A field such as `Content_Length`, which CGI-like origins take for `Content-Length`.
    UnderscoreAlias,
    // --- authority
    /// HTTP/1.1 without Host.
    HostMissing,
    /// More than one Host.
    HostRepeated,
    /// Host is not `host[:port]`, or empty.
    HostMalformed,
    /// The target's authority is another than Host's.
    HostDisagrees,
    // --- framing
    /// More than one Content-Length, equal or not, in one field or in several.
    ContentLengthRepeated,
    /// Content-Length is not a plain decimal number.
    ContentLengthMalformed,
    /// Content-Length does not fit 64 bits.
    ContentLengthOverflow,
    /// Content-Length and Transfer-Encoding in one message.
    ContentLengthWithTransferEncoding,
    /// More than one Transfer-Encoding field, or chunked twice.
    TransferCodingRepeated,
    /// A transfer coding other than chunked.
    TransferCodingUnknown,
    /// Chunked is not the last transfer coding.
    TransferCodingNotLast,
    /// Transfer-Encoding is empty or is no list of codings.
    TransferEncodingMalformed,
    /// Transfer-Encoding in an HTTP/1.0 message.
    TransferEncodingInHttp10,
    /// Content announced in a 1xx or 204 response.
    ContentNotAllowed,
    /// Connection names Host or Content-Length.
    ConnectionNamesFraming,
    /// Connection names more fields than any message needs.
    ConnectionTooLong,
    // --- bodies
    /// A chunk size that is not plain hexadecimal digits.
    ChunkSize,
    /// A chunk size that does not fit 64 bits, or is written with more than 16 digits.
    ChunkSizeOverflow,
    /// A chunk-size line that is longer than the limit.
    ChunkLineTooLong,
    /// More chunk extensions than the limit.
    ChunkExtensionsTooLarge,
    /// A control character in a chunk extension.
    ChunkExtension,
    /// Chunk data that is not followed by CR LF.
    ChunkEnd,
    /// A trailer section that is longer than the limit.
    TrailersTooLarge,
    /// The peer closed before the end of the body.
    Truncated,
}

impl ErrorKind {
    /// Every kind, for tables in tests and metrics.
    pub const ALL: &'static [ErrorKind] = &[
        ErrorKind::BareLf,
        ErrorKind::BareCr,
        ErrorKind::EmptyLines,
        ErrorKind::RequestLine,
        ErrorKind::MethodTooLong,
        ErrorKind::Version,
        ErrorKind::TargetTooLong,
        ErrorKind::TargetMalformed,
        ErrorKind::TargetFragment,
        ErrorKind::TargetUserinfo,
        ErrorKind::AsteriskForm,
        ErrorKind::ConnectTarget,
        ErrorKind::StatusLine,
        ErrorKind::HeadTooLarge,
        ErrorKind::TooManyFields,
        ErrorKind::ObsFold,
        ErrorKind::SpaceBeforeColon,
        ErrorKind::MissingColon,
        ErrorKind::FieldName,
        ErrorKind::FieldValue,
        ErrorKind::UnderscoreAlias,
        ErrorKind::HostMissing,
        ErrorKind::HostRepeated,
        ErrorKind::HostMalformed,
        ErrorKind::HostDisagrees,
        ErrorKind::ContentLengthRepeated,
        ErrorKind::ContentLengthMalformed,
        ErrorKind::ContentLengthOverflow,
        ErrorKind::ContentLengthWithTransferEncoding,
        ErrorKind::TransferCodingRepeated,
        ErrorKind::TransferCodingUnknown,
        ErrorKind::TransferCodingNotLast,
        ErrorKind::TransferEncodingMalformed,
        ErrorKind::TransferEncodingInHttp10,
        ErrorKind::ContentNotAllowed,
        ErrorKind::ConnectionNamesFraming,
        ErrorKind::ConnectionTooLong,
        ErrorKind::ChunkSize,
        ErrorKind::ChunkSizeOverflow,
        ErrorKind::ChunkLineTooLong,
        ErrorKind::ChunkExtensionsTooLarge,
        ErrorKind::ChunkExtension,
        ErrorKind::ChunkEnd,
        ErrorKind::TrailersTooLarge,
        ErrorKind::Truncated,
    ];

    /// Name, status, and what is wrong and why it is refused.
    #[rustfmt::skip]
    fn row(self) -> (&'static str, u16, &'static str) {
        use ErrorKind as E;
        match self {
            E::BareLf => ("bare_lf", 400, "a line ends with LF alone: other parsers need CR LF and would go on reading the line"),
            E::BareCr => ("bare_cr", 400, "a CR is not followed by LF: some parsers end the line there, others do not"),
            E::EmptyLines => ("empty_lines", 400, "empty lines before the message: at most one is tolerated, before a request"),
            E::RequestLine => ("request_line", 400, "the first line is not `method SP target SP HTTP/1.x`, one space each"),
            E::MethodTooLong => ("method_too_long", 501, "the method is longer than any that exists: this is likely not HTTP"),
            E::Version => ("version", 505, "the version is neither HTTP/1.0 nor HTTP/1.1: no other is spoken here"),
            E::TargetTooLong => ("target_too_long", 414, "the request target is longer than the limit"),
            E::TargetMalformed => ("target_malformed", 400, "the request target is neither /path, nor http(s)://host/path, nor *: or has a byte that no URI has"),
            E::TargetFragment => ("target_fragment", 400, "the request target has a fragment (#): it is the client's own and never sent; origins differ on whether it belongs to the path"),
            E::TargetUserinfo => ("target_userinfo", 400, "the target's authority has a user name (@): parsers differ on which part is the host"),
            E::AsteriskForm => ("asterisk_form", 400, "the request target * is for OPTIONS only"),
            E::ConnectTarget => ("connect_target", 400, "CONNECT needs exactly `host:port` as its target, and no other method may have it"),
            E::StatusLine => ("status_line", 400, "the first line is not `HTTP/1.x SP status [SP reason]` with a status from 100 to 999"),
            E::HeadTooLarge => ("head_too_large", 431, "the head is longer than the limit"),
            E::TooManyFields => ("too_many_fields", 431, "the head has more fields than the limit"),
            E::ObsFold => ("obs_fold", 400, "a field line begins with blank (obsolete folding): parsers differ on whether it belongs to the field before"),
            E::SpaceBeforeColon => ("space_before_colon", 400, "blank between a field name and its colon: parsers differ on the field's name"),
            E::MissingColon => ("missing_colon", 400, "a line among the fields has no colon"),
            E::FieldName => ("field_name", 400, "a field name is empty or has a byte that no token has"),
            E::FieldValue => ("field_value", 400, "a field value has a control character: NUL, CR and LF end lines or values in some parsers"),
            E::UnderscoreAlias => ("underscore_alias", 400, "a field name with _ where a field that decides framing, origin or trust has -: CGI-like origins cannot tell the two apart"),
            E::HostMissing => ("host_missing", 400, "an HTTP/1.1 request has no Host"),
            E::HostRepeated => ("host_repeated", 400, "more than one Host: parsers differ on which one counts"),
            E::HostMalformed => ("host_malformed", 400, "Host is not `host` or `host:port`"),
            E::HostDisagrees => ("host_disagrees", 400, "the target's authority and Host are different: parsers differ on which one counts"),
            E::ContentLengthRepeated => ("content_length_repeated", 400, "more than one Content-Length: parsers differ on which one counts"),
            E::ContentLengthMalformed => ("content_length_malformed", 400, "Content-Length is not a plain decimal number without sign, blank or leading zero"),
            E::ContentLengthOverflow => ("content_length_overflow", 400, "Content-Length does not fit 64 bits"),
            E::ContentLengthWithTransferEncoding => ("content_length_with_transfer_encoding", 400, "Content-Length and Transfer-Encoding together: parsers differ on where the body ends"),
            E::TransferCodingRepeated => ("transfer_coding_repeated", 400, "more than one Transfer-Encoding, or chunked twice: parsers differ on how often to decode"),
            E::TransferCodingUnknown => ("transfer_coding_unknown", 501, "a transfer coding other than chunked: none is implemented here"),
            E::TransferCodingNotLast => ("transfer_coding_not_last", 400, "chunked is not the last transfer coding: the body has no end that can be known"),
            E::TransferEncodingMalformed => ("transfer_encoding_malformed", 400, "Transfer-Encoding is empty or no list of codings"),
            E::TransferEncodingInHttp10 => ("transfer_encoding_in_http10", 400, "Transfer-Encoding in an HTTP/1.0 message: an HTTP/1.0 parser would not look at it"),
            E::ContentNotAllowed => ("content_not_allowed", 400, "a 1xx or 204 response announces content: some parsers would wait for it"),
            E::ConnectionNamesFraming => ("connection_names_framing", 400, "Connection names Host or Content-Length: who obeys it reads another message"),
            E::ConnectionTooLong => ("connection_too_long", 431, "Connection names more than 32 fields that are not known here"),
            E::ChunkSize => ("chunk_size", 400, "a chunk size is not plain hexadecimal digits, without sign, prefix or blank"),
            E::ChunkSizeOverflow => ("chunk_size_overflow", 400, "a chunk size has more than 16 digits or does not fit 64 bits"),
            E::ChunkLineTooLong => ("chunk_line_too_long", 400, "a chunk-size line is longer than the limit"),
            E::ChunkExtensionsTooLarge => ("chunk_extensions_too_large", 400, "the body has more bytes of chunk extensions than the limit"),
            E::ChunkExtension => ("chunk_extension", 400, "a chunk extension has a control character: some parsers end the line there"),
            E::ChunkEnd => ("chunk_end", 400, "chunk data is not followed by CR LF: its size and its data disagree"),
            E::TrailersTooLarge => ("trailers_too_large", 431, "the trailer section is longer, or has more fields, than the limit"),
            E::Truncated => ("truncated", 400, "the peer closed before the end of the body"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_name_and_a_client_or_server_status() {
        let mut names: Vec<_> = ErrorKind::ALL.iter().map(|k| Error::from(*k).name()).collect();
        let whole = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), whole);
        for kind in ErrorKind::ALL {
            let error = Error::from(*kind);
            assert!([400, 414, 431, 501, 505].contains(&error.status()), "{error:?}");
            assert!(error.to_string().len() > 20);
        }
        // The last variant's discriminant counts them: none was forgotten in ALL.
        assert_eq!(whole, ErrorKind::Truncated as usize + 1);
    }
}
