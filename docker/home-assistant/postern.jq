# The add-on's options as postern.conf:
#   jq -r --arg folder FOLDER --arg user USER -f postern.jq options.json
# FOLDER is where the copies of certificate, key and CA are; USER is what Postern becomes. A value that
# postern.conf could not hold as it is (it would end the line or begin a comment) is an error that
# names the option.

def text($name):
  (.[$name] // "") | tostring
  | if test("[[:cntrl:]]") then error("\($name): has a line break or another control character")
    elif test("(^|[ \t]);") then error("\($name): has a ; after a blank, which begins a comment")
    elif test("^[ \t]*$") then ""
    else . end;

def required($name):
  text($name) | if . == "" then error("\($name): is empty") else . end;

# One line; none where the value is empty.
def line($key; $value):
  if $value == "" then empty else "\($key) = \($value)" end;

(if type != "object" then error("the options are not an object") else . end)
| text("client_ca") as $client_ca
| required("client_auth") as $client_auth
| "[postern]",
  "reload = watch",
  "admin = 127.0.0.1:9883",
  line("user"; $user),
  line("log_level"; text("log_level")),
  "",
  "[listener mqtt]",
  "listen = [::]:8883",
  line("backend"; required("broker")),
  line("mqtt"; required("mqtt")),
  line("client_auth"; $client_auth),
  (if $client_ca == "" then empty else line("client_ca"; "\($folder)/client_ca.pem") end),
  "certificates = main",
  "",
  "[certificate main]",
  line("cert"; "\($folder)/main/fullchain.pem"),
  line("key"; "\($folder)/main/privkey.pem")
