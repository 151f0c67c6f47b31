use super::*;
use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use prometheus_client::metrics::counter::Counter;

struct Storage(Result<String, String>);

#[async_trait]
impl Part for Storage {
    fn name(&self) -> &'static str {
        "storage"
    }

    async fn check(&self) -> Result<String, String> {
        self.0.clone()
    }
}

struct Hanging;

#[async_trait]
impl Part for Hanging {
    fn name(&self) -> &'static str {
        "upstream"
    }

    async fn check(&self) -> Result<String, String> {
        std::future::pending().await
    }

    async fn refresh(&self) {
        std::future::pending().await
    }
}

fn admin_of(part: impl Part + 'static) -> Admin {
    let mut admin = Admin::of("lockgate", "1.0");
    admin.health.watch(part);
    admin
}

async fn ask(admin: &Admin, path: &str, accept: &str) -> (StatusCode, String, String) {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, accept.parse().expect("a header"));
    let answer = admin.answer(&Method::GET, path, &headers).await;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("it is there").to_bytes();
    let kind = head.headers[CONTENT_TYPE].to_str().expect("a text").to_owned();
    (head.status, kind, String::from_utf8(body.to_vec()).expect("a text"))
}

#[tokio::test]
async fn a_program_is_ready_as_long_as_each_part_is_and_nobody_ends_it() {
    let admin = admin_of(Storage(Ok("the bucket answers".to_owned())));
    let (status, _, report) = ask(&admin, "/readyz", "*/*").await;
    let expected =
        r#"{"ready":true,"draining":false,"checks":[{"name":"storage","ok":true,"reason":"the bucket answers"}]}"#;
    assert_eq!(status, StatusCode::OK);
    let of = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("it is JSON");
    assert_eq!(of(&report), of(expected));
    admin.health.end();
    let (status, _, report) = ask(&admin, "/readyz", "*/*").await;
    assert_eq!((status, &of(&report)["draining"]), (StatusCode::SERVICE_UNAVAILABLE, &true.into()));
    assert_eq!(ask(&admin, "/healthz", "*/*").await.0, StatusCode::OK);
    let (status, _, report) = ask(&admin_of(Storage(Err("no route".to_owned()))), "/readyz", "*/*").await;
    assert_eq!((status, &of(&report)["checks"][0]["reason"]), (StatusCode::SERVICE_UNAVAILABLE, &"no route".into()));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_hangs_is_named_and_holds_up_no_metrics() {
    let admin = admin_of(Hanging);
    let (status, _, report) = ask(&admin, "/readyz", "*/*").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(report.contains("nothing was heard within 5 s"), "{report}");
    assert_eq!(ask(&admin, "/metrics", "*/*").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_come_in_the_form_that_is_asked_for() {
    let mut admin = Admin::of("lockgate", "1.0");
    admin.metrics.register("things", "Some things", Counter::<u64>::default());
    let (_, kind, text) = ask(&admin, "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert!(kind.starts_with("application/openmetrics-text") && text.ends_with("# EOF\n"), "{kind}: {text}");
    assert!(text.contains("lockgate_build_info{program=\"lockgate\",version=\"1.0\"} 1"), "{text}");
    let (_, kind, text) = ask(&admin, "/metrics", "text/plain").await;
    assert!(kind.starts_with("text/plain; version=0.0.4") && text.contains("# TYPE things_total counter"), "{text}");
}

#[tokio::test]
async fn what_is_not_there_is_told_by_what_is() {
    let admin = Admin::of("lockgate", "1.0");
    let (status, _, text) = ask(&admin, "/metricz", "*/*").await;
    assert_eq!((status, text.as_str()), (StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"));
    assert!(ask(&admin, "/", "*/*").await.2.contains("/readyz"));
    let refusal = admin.answer(&Method::POST, "/metrics", &HeaderMap::new()).await;
    assert_eq!(refusal.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refusal.headers()[ALLOW], "GET, HEAD");
}
