"""A real OpenID provider, and a browser: oidc.py URL SUB follows a login link as `sub`, says yes, prints the last page.

With "again" behind it the way back from the provider is taken twice, and the second page is printed.
"""
import fcntl, os, re, subprocess, sys, urllib.error, urllib.parse, urllib.request
from http.cookiejar import CookieJar

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlab import BUILD, Failure, Skip

VENV = os.path.join(os.path.abspath(BUILD), 'oidc-venv')
MOCK = os.path.join(VENV, 'bin/oidc-provider-mock')


def provider():
    """The path of oidc-provider-mock, installed beside the build."""
    with open(VENV + '.lock', 'w') as lock:  # tests run beside each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(MOCK):
            subprocess.run([sys.executable, '-m', 'venv', VENV], capture_output=True)
            subprocess.run([f'{VENV}/bin/pip', '-q', 'install', 'oidc-provider-mock==0.3.4'], capture_output=True)
    if os.path.exists(MOCK):
        return MOCK
    if os.environ.get('FAIRLEAD_REQUIRE_PEERS') == '1':
        raise Failure('oidc-provider-mock cannot be installed')
    raise Skip('oidc-provider-mock cannot be installed')


def browse(url, sub, again=False):
    """The last page that a person sees who opens a login link, signs in as `sub`, and confirms."""
    jar = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    server = '/'.join(url.split('/')[:3])
    try:
        form = jar.open(url, timeout=20).geturl()
        back = jar.open(form, urllib.parse.urlencode({'sub': sub}).encode(), timeout=20)
        page = back.read().decode()
        if again:
            return jar.open(back.geturl(), timeout=20).read().decode()
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)
        if csrf:
            action = re.search(r'action="([^"]+)"', page).group(1)
            page = jar.open(server + action, urllib.parse.urlencode({'csrf': csrf.group(1)}).encode(), timeout=20).read().decode()
        return page
    except urllib.error.HTTPError as e:
        return e.read().decode()
    except urllib.error.URLError:
        return 'nobody answers'


if __name__ == '__main__':
    print(browse(*sys.argv[1:3], sys.argv[3:] == ['again']))
