"""Words that things have which look like secrets, with how long a run they have: made by
tools/suspicion_words.py from the rules of the redaction.
"""

from __future__ import annotations

OPENING: tuple[tuple[int, tuple[str, ...]], ...] = (
    (12, (
        "zxlkau5quwlp", "zxlkcgrpstzj", "zxlkcmfxuwlp", "zxlkcwqyc2lpb", "zxlkd01ttwlp",
        "zxlkemruuwlp", "zxlkne5xtwlp",
    )),
    (14, (
        "zxlkagjhy2lpau", "zxlkagnivwlpau", "zxlkagniwwlpau", "zxlkagrxuwlpau", "zxlkamntbdbjanbi",
        "zxlkamria2lpau", "zxlkbgjttwlpau", "zxlkbgnhc2lpbn", "zxlkcgmztwlpau", "zxlkcmria2lpaup",
        "zxlkcwezvwlpau", "zxlkd01utwlpau", "zxlkd2niuwlpau", "zxlkdwiynwpau0k2", "zxlkemrxswlpau",
        "zxlkmflxy2lpau", "zxlkmgvyqwlpaup", "zxlkmlpyswlpau", "zxlkmwmyvwlpaup", "zxlkne5yuwlpau",
        "zxlkne5yvwlpau", "zxlknmfyqwlpau",
    )),
    (18, (
        "rk_live_", "rk_prod_", "rk_test_", "sk_live_", "sk_prod_", "sk_test_",
    )),
    (20, (
        "a3t", "abia", "acca", "akia", "asia", "zxlkclpybgzim0j6swpwy", "zxlkmlpysnphvzl1swpv",
    )),
    (22, (
        "rzp_live_", "rzp_test_", "sk-", "sm_aat_", "sm_pat_", "sm_sat_", "zxlkne5yuwpvekkxtmljnkl",
    )),
    (24, (
        "gldt-", "glft-", "glrt-", "ltai", "pk_live_", "pk_prod_", "pk_test_", "ya29.",
    )),
    (26, (
        "eaaa", "glagent-", "glcbt-", "glimt-", "gloas-", "glpat-", "glptt-", "glsoat-", "gocspx-",
        "s.", "sq0atp-", "sq0csp-", "sq0idp-", "tvly-",
    )),
    (30, (
        "api-", "re_", "tskey-api-", "tskey-auth-", "tskey-scim-", "whsec_",
    )),
    (32, (
        "atbb", "cio", "dckr_oat_", "dckr_pat_", "fc-", "gho_", "ghp_", "ghr_", "ghs_", "ghu_",
        "hf_", "nfp_", "nrak-", "r8_", "tskey-client-", "tskey-webhook-",
    )),
    (36, (
        "a3-", "aiza", "dapi", "glc_", "ico-", "key-", "p8e-", "shpat_", "shpca_", "shppa_",
        "shpss_",
    )),
    (40, (
        "1//0", "4b1d", "api_org_", "bkua_", "ccipat_", "cciprj_", "cfpat-", "e2b_", "ezak", "eztk",
        "figd_", "fm1a_", "fm1r_", "fm2_", "fo1_", "github_pat_", "glrt-t", "glsa_", "gsk_",
        "lin_api_", "lin_oauth_", "ls0tls1crudjti", "lsv2_pt_", "lsv2_sk_", "npm_", "ntn_", "oy2",
        "pat-eu", "pat-na", "phc_", "phx_", "pnu_", "pplx-", "pscale_oauth_", "pscale_pw_",
        "pscale_tkn_", "pul-", "rubygems_", "sbp_", "secret_", "sgp_", "sgp_local_", "sha256~",
        "shippo_live_", "shippo_test_", "sntrys_", "sntryu_", "sqa_", "sqp_", "squ_", "tk-us-",
        "xapp-",
    )),
    (59, (
        "absk", "akcp", "atatt3", "atctt3", "authress_", "cmvmd", "doo_v1_", "dop_v1_", "dor_v1_",
        "eaac", "eaam", "ext_", "eyjrijoi", "hrku-aa", "hvb.", "hvs.", "napi_", "nvapi-", "ops_eyj",
        "pk.eyj", "pmak-", "rdme_", "s-s4t2af-", "s-s4t2ud-", "sc_", "scauth_", "sg.",
        "sk-ant-admin01-", "sk-ant-api03-", "sk.eyj", "sl.", "sntrys_eyjpyxqio", "v1.0-",
        "v1.local.", "v1.public.", "v2.local.", "v2.public.", "v3.local.", "v3.public.",
        "v4.local.", "v4.public.", "xai-", "xkeysib-",
    )),
)  # fmt: skip
"""How many letters a run has at least in which one of these begins a word."""

WITHIN: tuple[tuple[int, tuple[str, ...]], ...] = (
    (12, (
        "xapp-", "xoxa-", "xoxo-", "xoxr-", "xoxs-",
    )),
    (22, (
        ".ey",
    )),
    (24, (
        "flwseck_test-", "gldt-", "glft-", "glrt-", "nrjs-",
    )),
    (26, (
        "bundle_gems__contribsys__com", "glcbt-", "glffct-", "glpat-", "glsoat-", "gr1348941",
        "webhook.office.com/webhookb2/", "xoxb-",
    )),
    (30, (
        "/api/webhooks/", "glimt-",
    )),
    (32, (
        "bundle_enterprise__contribsys__com", "nrak-", "sk",
    )),
    (36, (
        "nrii-", "q~", "shpat_", "shpca_", "shppa_", "shpss_",
    )),
    (40, (
        ".eyj", "_gitlab_session=", "_mmk", "bedrock-api-key-ymvkcm9jay5hbwf6b25hd3muy29t",
        "dp.pt.", "duffel_live_", "duffel_test_", "flwpubk_test-", "gho_", "ghp_", "ghr_", "ghs_",
        "ghu_", "glagent-", "glptt-", "lin_api_", "live_", "live_pub_", "t3blbkfj", "test_",
        "test_pub_",
    )),
    (59, (
        ".atlasv1.", "/incomingwebhook/", "age-secret-key-1", "clojars_", "dnkey-", "dt0c01.",
        "fio-u-", "github_pat_", "gloas-", "ops_eyj", "pat.", "pypi-ageichlwas5vcmc", "sat.",
        "tfp_", "xoxe-", "xoxp-",
    )),
)  # fmt: skip
"""How many letters a run has at least in which one of these is, wherever."""

BESIDE: tuple[tuple[int, tuple[str, ...]], ...] = (
    (9, (
        "/webhook/", "/webhooks/", "enterprise.contribsys.com", "gems.contribsys.com",
        "webhook.office.com", "zxlk",
    )),
    (14, (
        "airtable", "asana", "confluent", "dropbox", "linked-in", "linked_in", "linkedin", "sumo",
    )),
    (18, (
        "discord",
    )),
    (20, (
        "finicity", "finnhub", "looker",
    )),
    (22, (
        "dockerc", "travis",
    )),
    (24, (
        "atatt3", "atlassian", "confluence", "etsy", "jira", "kucoin", "message-bird",
        "message_bird", "messagebird", "plaid", "twitter",
    )),
    (26, (
        "facebook", "mattermost",
    )),
    (30, (
        "alibaba", "twitch",
    )),
    (32, (
        ":aa", "access_token$production$", "adafruit", "adobe", "algolia", "bitbucket", "bittrex",
        "codecov", "droneci", "fastly", "flickr", "linear", "new-york-times", "newyorktimes",
        "nytimes", "private-ai", "private_ai", "privateai", "telegr",
    )),
    (36, (
        "cloudflare", "heroku", "hubspot", "mailchimp", "mailgun", "sendbird", "snyk",
        "squarespace", "yandex",
    )),
    (40, (
        "beamer", "co_api_key", "cohere", "contentful", "datadog", "gitter", "hooks.slack.com",
        "launchdarkly", "meraki", "netlify", "okta", "rapidapi", "sgp_", "sonar", "sourcegraph",
        "zendesk",
    )),
    (59, (
        ":apa91b", "artifactory", "bintray", "coinbase", "freshbooks", "intercom", "jfrog",
        "kraken", "mapbox", "new-relic", "new_relic", "newrelic", "sentry", "xoxe.xoxb-",
        "xoxe.xoxp-", "xray",
    )),
)  # fmt: skip
"""How many letters some run of a text has at least that has one of the words, wherever."""
