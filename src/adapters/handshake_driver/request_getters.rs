//! The getters of a request that waits for the application, the same for all adapters.
//!
//! Each adapter has a `PendingRequest` and an `HttpCall` of its own, because they own its stream. They say the same
//! about the request. The macros here write these methods into the `impl` blocks of the adapters.
//!
//! Invariant: a type that uses a macro has the field that the macro names: `pending`, a [`Pending`](super::Pending), or
//! `request`, a [`PlainRequest`](super::PlainRequest).

/// The getters of a request to open a WebSocket.
macro_rules! pending_request_getters {
    () => {
        /// Returns the head of the request: method, target, headers, and what follows from them.
        #[must_use]
        pub const fn head(&self) -> &$crate::handshake::RequestHead {
            &self.pending.head
        }

        /// Returns the target of the request: path and query, or an absolute URI.
        #[must_use]
        pub fn target(&self) -> &str {
            self.pending.head.target()
        }

        /// Returns the headers of the request.
        #[must_use]
        pub fn headers(&self) -> $crate::handshake::Headers<'_> {
            self.pending.head.headers()
        }

        /// Returns the origin of the page that opens the connection, if there is one.
        #[must_use]
        pub fn origin(&self) -> Option<&str> {
            self.pending.head.origin()
        }

        /// Returns the subprotocols that the client offers, in its order of preference.
        pub fn subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
            self.pending.head.subprotocols()
        }

        /// Returns the server's own decision: the first subprotocol in the client's list that the server
        /// [supports](Server::subprotocols). The application may change it, for [`accept_with`](Self::accept_with).
        #[must_use]
        pub fn acceptance(&self) -> Acceptance {
            self.pending.acceptance()
        }
    };
}

/// The getters of a plain HTTP request, and the setter for its response.
macro_rules! http_call_getters {
    () => {
        /// Returns the method of the request. Methods are case-sensitive (RFC 9110 section 9.1).
        #[must_use]
        pub fn method(&self) -> &str {
            self.request.head.method()
        }

        /// Returns the target of the request: path and query, or an absolute URI.
        #[must_use]
        pub fn target(&self) -> &str {
            self.request.head.target()
        }

        /// Returns the headers of the request.
        #[must_use]
        pub fn headers(&self) -> $crate::handshake::Headers<'_> {
            self.request.head.headers()
        }

        /// Returns the bytes that were read from the stream: the head, and the bytes behind it.
        #[must_use]
        pub fn received(&self) -> &[u8] {
            &self.request.received
        }

        /// Sets how long the stream may take nothing of the response; 30 s by default. Each byte that the stream takes
        /// restarts this time.
        ///
        /// A socket with a full send buffer takes nothing until a part of the buffer is free again. For a buffer of
        /// 4 MiB that part is 1.4 MiB. A peer that reads less than 48 KiB/s can therefore seem to have stopped for
        /// 30 s.
        #[must_use]
        pub fn write_timeout(mut self, timeout: core::time::Duration) -> Self {
            self.request.write_timeout = timeout;
            self
        }
    };
}

pub(in crate::adapters) use {http_call_getters, pending_request_getters};
