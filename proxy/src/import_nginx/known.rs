//! Directives that need no look at their arguments: what becomes of each, and why. What is not here is not understood.

use super::draft::{Fate, Outcome};

/// The names, with a star for those that begin so; their fate; and the reason.
const KNOWN: &[(&str, Fate, &str)] = &[
    ("include", Fate::BuiltIn, "what it names is read in its place"),
    ("listen", Fate::Kept, "in listen.https"),
    ("http", Fate::BuiltIn, "what stands in it is told below"),
    ("events", Fate::BuiltIn, "connections and processes need no tuning"),
    (
        "client_body_buffer_size client_body_in_file_only client_body_in_single_buffer client_body_temp_path proxy_buffer_size \
         proxy_buffering proxy_buffers proxy_busy_buffers_size proxy_max_temp_file_size proxy_request_buffering \
         proxy_temp_file_write_size proxy_temp_path",
        Fate::BuiltIn,
        "bodies stream both ways and are never kept on disk",
    ),
    ("chunked_transfer_encoding", Fate::BuiltIn, "chunks are taken and sent"),
    ("proxy_http_version", Fate::BuiltIn, "the registry is spoken to in HTTP/1.1, over kept connections"),
    (
        "proxy_redirect",
        Fate::BuiltIn,
        "a Location that names the registry is given back with the client's scheme and Host",
    ),
    ("proxy_next_upstream*", Fate::BuiltIn, "another registry is asked where one cannot be reached"),
    ("error_page proxy_intercept_errors recursive_error_pages", Fate::BuiltIn, "refusals are OCI JSON"),
    (
        "access_log log_format log_not_found log_subrequest open_log_file_cache rewrite_log",
        Fate::BuiltIn,
        "the log is on standard error, with a line for each request",
    ),
    ("error_log", Fate::BuiltIn, "the log is on standard error; log.level says how much"),
    ("ssl", Fate::BuiltIn, "Lockgate speaks TLS alone"),
    (
        "ssl_buffer_size ssl_ciphers ssl_conf_command ssl_dhparam ssl_early_data ssl_ecdh_curve ssl_prefer_server_ciphers \
         ssl_session_cache ssl_session_ticket_key ssl_session_tickets ssl_session_timeout",
        Fate::BuiltIn,
        "there is nothing to choose: ciphers have forward secrecy and authentication, and sessions are resumed",
    ),
    ("ssl_stapling*", Fate::Dropped, "no OCSP response is stapled; clients of registries ask for none"),
    ("ssl_trusted_certificate", Fate::Dropped, "it is for stapling, or for clients' certificates"),
    ("server_name", Fate::BuiltIn, "any name is answered, with the certificate that fits it"),
    ("server_tokens", Fate::BuiltIn, "no version is told"),
    ("absolute_redirect port_in_redirect server_name_in_redirect", Fate::Dropped, "Lockgate redirects nobody"),
    (
        "daemon debug_connection env load_module lock_file master_process multi_accept pid pcre_jit thread_pool timer_resolution \
         use user worker_aio_requests worker_connections worker_cpu_affinity worker_priority worker_processes \
         worker_rlimit_core worker_rlimit_nofile worker_shutdown_timeout working_directory accept_mutex accept_mutex_delay",
        Fate::Dropped,
        "it is about the process, which is run as docs/deploy.md says",
    ),
    (
        "aio aio_write charset charset_types client_header_buffer_size connection_pool_size default_type directio etag expires \
         http2_* http3* ignore_invalid_headers index keepalive_disable keepalive_requests keepalive_time lingering_close \
         lingering_time lingering_timeout max_ranges merge_slashes open_file_cache* output_buffers override_charset postpone_output \
         proxy_bind proxy_cookie_domain proxy_cookie_path proxy_cookie_flags proxy_force_ranges proxy_headers_hash_bucket_size \
         proxy_headers_hash_max_size proxy_ignore_client_abort proxy_ignore_headers proxy_hide_header \
         proxy_pass_header proxy_pass_request_body proxy_pass_request_headers proxy_socket_keepalive \
         quic_* request_pool_size reset_timedout_connection resolver_timeout root autoindex send_lowat sendfile \
         sendfile_max_chunk server_names_hash_bucket_size server_names_hash_max_size subrequest_output_buffer_size tcp_nodelay \
         tcp_nopush try_files types types_hash_bucket_size types_hash_max_size underscores_in_headers \
         variables_hash_bucket_size variables_hash_max_size map_hash_bucket_size map_hash_max_size \
         brotli* gunzip gzip gzip_* zstd* ssi sub_filter* xslt* status_zone stub_status vhost_traffic_status* \
         opentracing* otel_*",
        Fate::Dropped,
        "it changes nothing for a registry",
    ),
    ("http2", Fate::BuiltIn, "HTTP/2 is off unless listen.http2 = true; docker does not use it"),
    ("fastcgi_* grpc_* memcached_* scgi_* uwsgi_*", Fate::Dropped, "a registry is spoken to in HTTP"),
    (
        "add_after_body add_before_body add_trailer debug_points postpone_gzipping proxy_no_cache proxy_send_lowat \
         proxy_store proxy_store_access referer_hash_* ssl_engine addition_types alias ancient_browser ancient_browser_value autoindex_* break \
         create_full_put_path dav_* directio_alignment disable_symlinks early_hints empty_gif flv if_modified_since image_filter* \
         keyval* max_headers min_delete_depth mirror mirror_request_body modern_browser modern_browser_value mp4* msie_* \
         random_index read_ahead slice uninitialized_variable_warn userid*",
        Fate::Dropped,
        "it changes nothing for a registry",
    ),
    ("proxy_cache*", Fate::Dropped, "nothing is cached"),
    ("proxy_limit_rate limit_rate limit_rate_after", Fate::Weaker, "one client may use the whole line"),
    (
        "limit_req",
        Fate::Weaker,
        "requests are not counted; wrong passwords are (auth.failures), and connections (limits.connections_per_address)",
    ),
    (
        "limit_req_dry_run limit_req_log_level limit_req_status limit_conn_dry_run limit_conn_log_level limit_conn_status",
        Fate::Dropped,
        "it is about limit_req and limit_conn",
    ),
    (
        "limit_req_zone limit_conn_zone limit_zone",
        Fate::Dropped,
        "it is for limit_req and limit_conn, where they are used",
    ),
    ("client_max_body_size", Fate::BuiltIn, "a body has no limit: layers are as large as they are"),
    ("auth_delay", Fate::BuiltIn, "wrong passwords are rationed (auth.failures)"),
    (
        "charset_map geo map split_clients geoip_* geoip2",
        Fate::Dropped,
        "its variables count where they are used, which is told there",
    ),
    ("set", Fate::Dropped, "the variable counts where it is used, which is told there"),
    ("ssl_verify_depth ssl_crl", Fate::Dropped, "it is about clients' certificates"),
    ("ssl_client_certificate", Fate::Dropped, "it is about clients' certificates; what asks for them is told there"),
    ("real_ip_recursive", Fate::Dropped, "the last address that is no trusted proxy's counts"),
    (
        "real_ip_header set_real_ip_from",
        Fate::Different,
        "X-Forwarded-For is believed of who is in listen.trusted_proxies, and the PROXY protocol of who is in listen.proxy_protocol; until the balancer is there, limits, log and grants see its own address",
    ),
    ("proxy_ssl_*", Fate::Dropped, "the registry is spoken to in plain HTTP"),
    ("upstream server stream mail", Fate::Elsewhere, "it is not the registry's"),
    ("location", Fate::Elsewhere, "it answers no path of a registry; Lockgate's answer is 404"),
];

/// What becomes of a directive of this name; `None` where it is not known.
pub(super) fn known(name: &str) -> Option<Outcome> {
    let is_it = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    };
    let found = KNOWN.iter().find(|(names, ..)| names.split_whitespace().any(is_it));
    found.map(|(_, fate, text)| Outcome::new(*fate, *text))
}
