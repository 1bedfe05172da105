#include "node/prefs.h"

#include "test/check.h"

/* As tailscale v1.102.5 writes them. */
static const char go_default[] =
	"{\"ControlURL\":\"\",\"RouteAll\":false,\"ExitNodeID\":\"\",\"ExitNodeIP\":\"\","
        "\"InternalExitN"
	"odePrior\":\"\",\"ExitNodeAllowLANAccess\":false,\"CorpDNS\":true,\"RunSSH\":false,\"RunWe"
	"bClient\":false,\"WantRunning\":false,\"LoggedOut\":false,\"ShieldsUp\":false,\"Advertis"
	"eTags\":null,\"Hostname\":\"\",\"NotepadURLs\":false,\"AdvertiseRoutes\":null,\"AdvertiseS"
	"ervices\":null,\"Sync\":null,\"NoSNAT\":false,\"NoStatefulFiltering\":true,\"NetfilterMo"
	"de\":2,\"AutoUpdate\":{\"Check\":true,\"Apply\":null},\"AppConnector\":{\"Advertise\":"
        "false"
	"},\"PostureChecking\":false,\"NetfilterKind\":\"\",\"RemoteConfig\":false,\"DriveShares\":"
	"null,\"Config\":null}";
static const char go_full[] =
	"{\"ControlURL\":\"http://"
        "x\",\"RouteAll\":false,\"ExitNodeID\":\"nX\",\"ExitNodeIP\":\"100.64"
	".0.9\",\"AutoExitNode\":\"any\",\"InternalExitNodePrior\":\"nY\","
        "\"ExitNodeAllowLANAccess\""
	":false,\"CorpDNS\":true,\"RunSSH\":false,\"RunWebClient\":false,\"WantRunning\":false,\"L"
	"oggedOut\":false,\"ShieldsUp\":false,\"AdvertiseTags\":[\"tag:a\"],\"Hostname\":\"h\","
        "\"Note"
	"padURLs\":false,\"ForceDaemon\":true,\"Egg\":true,\"AdvertiseRoutes\":[\"10.0.0.0/8\"],\"A"
	"dvertiseServices\":[\"svc:x\"],\"Sync\":true,\"NoSNAT\":false,\"NoStatefulFiltering\":fal"
	"se,\"NetfilterMode\":1,\"OperatorUser\":\"me\",\"ProfileName\":\"pn\",\"AutoUpdate\":{"
        "\"Check"
	"\":true,\"Apply\":true},\"AppConnector\":{\"Advertise\":false},\"PostureChecking\":false,"
	"\"NetfilterKind\":\"\",\"RemoteConfig\":true,\"DriveShares\":[{\"name\":\"a\",\"path\":\"/"
        "b\",\"w"
	"ho\":\"c\"}],\"RelayServerPort\":77,\"RelayServerStaticEndpoints\":[\"1.2.3.4:5\"],\"Confi"
	"g\":{\"PrivateNodeKey\":\"privkey:801ec29cf7f346bd372826f51406b32f7304a0f8b6e5e0a69a"
	"6c9dbcf01d4754\",\"OldPrivateNodeKey\":\"privkey:58b6ff51a266a73aa4ba2b6a594ffd7aa63"
	"3c509173df8a13151488ce6ed9844\",\"UserProfile\":{\"ID\":1,\"LoginName\":\"l\",\"DisplayNam"
	"e\":\"d\"},\"NetworkLockKey\":\"nlpriv:978cec88b219490cffcca1f521a6ba3ee74d4124086508e"
	"c9420ddce09929381aa5f0ffcea3e2290bc160b6be914b986244153b02b0197e655cc98a72791111"
	"a\",\"NodeID\":\"n1\"}}";

static void the_defaults_are_the_real_ones(void)
{
	AUTO(prefs_free) struct prefs *p = prefs_new();
	AUTO_DONE(buf) struct buf out = { 0 };

	prefs_write(&out, p);
	CHECK_STR(buf_text(&out), go_default);
}

static void every_field_is_read_and_written_back(void)
{
	AUTO(prefs_free) struct prefs *p = NULL;
	AUTO_DONE(buf) struct buf out = { 0 };

	CHECK_OK(prefs_parse(SPAN_LIT(go_full), &p));
	prefs_write(&out, p);
	CHECK_STR(buf_text(&out), go_full);
}

static void what_is_missing_has_its_default(void)
{
	AUTO(prefs_free) struct prefs *p = NULL;

	CHECK_OK(prefs_parse(SPAN_LIT("{\"Hostname\":\"x\"}"), &p));
	CHECK(p->corp_dns);
	CHECK_EQ(p->netfilter_mode, NETFILTER_ON);
	CHECK(span_is(p->hostname, "x"));
}

static void the_public_form_has_no_keys(void)
{
	AUTO(prefs_free) struct prefs *p = NULL;
	AUTO_DONE(buf) struct buf out = { 0 };

	CHECK_OK(prefs_parse(SPAN_LIT(go_full), &p));
	prefs_write_public(&out, p, NULL);
	CHECK(strstr(buf_text(&out), "\"PrivateNodeKey\":\"privkey:00000000") != NULL);
	CHECK(strstr(buf_text(&out), "\"NetworkLockKey\":\"nlpriv:00000000") != NULL);
	CHECK(strstr(buf_text(&out), "\"LoginName\":\"l\"") != NULL);
	CHECK(strstr(buf_text(&out), "\"NodeID\":\"n1\"") != NULL);
}

static struct prefs *edit(const struct prefs *old, const char *json, int want)
{
	struct prefs *p = NULL;
	struct fault f = { 0 };

	CHECK_EQ(prefs_edit(old, span_str(json), &p, &f), want);
	return p;
}

static void only_what_is_marked_changes(void)
{
	AUTO(prefs_free) struct prefs *p = prefs_new();
	AUTO(prefs_free)
	struct prefs *q = edit(p,
	                       "{\"Hostname\":\"h\",\"HostnameSet\":true,\"CorpDNS\":false,"
	                       "\"WantRunning\":true,\"WantRunningSet\":true}",
	                       0);

	CHECK(span_is(q->hostname, "h"));
	CHECK(q->corp_dns);
	CHECK(q->want_running);
}

static void the_update_mask_is_an_object(void)
{
	AUTO(prefs_free) struct prefs *p = prefs_new();
	AUTO(prefs_free)
	struct prefs *q = edit(p,
	                       "{\"AutoUpdate\":{\"Check\":false,\"Apply\":true},\"AutoUpdateSet\":"
	                       "{\"ApplySet\":true}}",
	                       0);

	CHECK(q->auto_update.check);
	CHECK_EQ(q->auto_update.apply, OBOOL_TRUE);
}

static void naming_an_exit_node_ends_the_automatic_choice(void)
{
	AUTO(prefs_free) struct prefs *p = NULL;

	CHECK_OK(prefs_parse(SPAN_LIT(go_full), &p));
	AUTO(prefs_free)
	struct prefs *q = edit(p, "{\"ExitNodeID\":\"\",\"ExitNodeIDSet\":true}", 0);

	CHECK_EQ(q->auto_exit_node.n, 0);
	CHECK_EQ(q->exit_node_prior.n, 0);
}

static void contradictions_are_refused_with_a_reason(void)
{
	AUTO(prefs_free) struct prefs *p = prefs_new();
	struct prefs *q = NULL;
	struct fault f = { 0 };

	CHECK_EQ(prefs_edit(p,
	                    SPAN_LIT("{\"ExitNodeID\":\"n\",\"ExitNodeIDSet\":true,"
	                             "\"AdvertiseRoutes\":[\"0.0.0.0/0\",\"::/0\"],"
	                             "\"AdvertiseRoutesSet\":true}"),
	                    &q, &f),
	         ERR_DENIED);
	CHECK(strstr(f.message, "exit node") != NULL);
	(void)edit(p, "{\"AdvertiseRoutes\":[\"10.0.0.1/8\"],\"AdvertiseRoutesSet\":true}",
	           ERR_DENIED);
	(void)edit(p, "{\"InternalExitNodePrior\":\"x\",\"InternalExitNodePriorSet\":true}",
	           ERR_DENIED);
	(void)edit(p, "{", ERR_MALFORMED);
	(void)edit(p, "{\"Hostname\":1,\"HostnameSet\":true}", ERR_MALFORMED);
}

static void keys_cannot_be_set_from_outside(void)
{
	AUTO(prefs_free) struct prefs *p = prefs_new();
	AUTO(prefs_free)
	struct prefs *q = edit(p, "{\"Config\":{\"NodeID\":\"evil\"},\"ConfigSet\":true}", 0);

	CHECK(q->persist == NULL);
}

static void the_control_url_loses_its_slashes(void)
{
	AUTO(prefs_free) struct prefs *p = prefs_new();

	CHECK(span_is(prefs_control_url(p), PREFS_DEFAULT_CONTROL));
	p->control_url = SPAN_LIT("https://hs.example//");
	CHECK(span_is(prefs_control_url(p), "https://hs.example"));
}

int main(void)
{
	RUN(the_defaults_are_the_real_ones);
	RUN(every_field_is_read_and_written_back);
	RUN(what_is_missing_has_its_default);
	RUN(the_public_form_has_no_keys);
	RUN(only_what_is_marked_changes);
	RUN(the_update_mask_is_an_object);
	RUN(naming_an_exit_node_ends_the_automatic_choice);
	RUN(contradictions_are_refused_with_a_reason);
	RUN(keys_cannot_be_set_from_outside);
	RUN(the_control_url_loses_its_slashes);
	return check_done();
}
