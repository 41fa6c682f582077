package api

import "regexp"

// accountName: 1-32 of a-z 0-9 - _, starting with a letter (design: names are
// shown on terminals and in URLs).
var accountName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// MinPassword and MaxPassword bound a password, in bytes. argon2id hashes any
// length; the bound keeps a login cheap to refuse.
const (
	MinPassword = 8
	MaxPassword = 1024
)

// Credentials sign up (POST /v1/accounts) and log in (POST /v1/sessions).
type Credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// Validate reports the first field that is wrong as a [FieldError].
func (c Credentials) Validate() error {
	if !accountName.MatchString(c.User) {
		return Invalid("user", "%q is no account name; 1-32 of a-z 0-9 - _, starting with a letter", clip(c.User))
	}
	if len(c.Password) < MinPassword || len(c.Password) > MaxPassword {
		return Invalid("password", "must have %d to %d bytes", MinPassword, MaxPassword)
	}
	return nil
}

// Account is a user of the network.
type Account struct {
	User  string `json:"user"`
	Admin bool   `json:"admin"` // the first account is the administrator
}

// Session is the answer to a login: Token goes into Authorization: Bearer.
type Session struct {
	Token   string  `json:"token"`
	Account Account `json:"account"`
}
