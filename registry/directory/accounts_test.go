package directory_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"burrow/api"
	"burrow/internal/kv"
	"burrow/registry/directory"
)

func TestFirstAccountIsAdministrator(t *testing.T) {
	t.Parallel()
	d := open(t, memory(t))
	var admins atomic.Int64
	var wg sync.WaitGroup
	for _, user := range []string{"ada", "bob", "eve", "dan"} {
		wg.Go(func() {
			if a, err := d.SignUp(t.Context(), creds(user)); err != nil {
				t.Errorf("sign up %s: %v", user, err)
			} else if a.Admin {
				admins.Add(1)
			}
		})
	}
	wg.Wait()
	if n := admins.Load(); n != 1 {
		t.Errorf("got %d administrators, want 1", n)
	}
}

func TestSignUpRefusals(t *testing.T) {
	t.Parallel()
	s := memory(t)
	d := open(t, s)
	signUp(t, d, "ada")
	closed, err := directory.New(t.Context(), s, directory.Config{Closed: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		dir  *directory.Directory
		cred api.Credentials
		want error
	}{
		{"taken name", d, creds("ada"), api.ErrConflict},
		{"bad name", d, creds("../ada"), api.ErrInvalid},
		{"short password", d, api.Credentials{User: "bob", Password: "short"}, api.ErrInvalid},
		{"closed network", closed, creds("bob"), api.ErrForbidden},
	} {
		if _, err := c.dir.SignUp(t.Context(), c.cred); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// Ensure that accounts and sessions survive kill -9, and that the store holds
// neither the password nor the token.
func TestAccountsSurviveCrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := onDisk(t, dir)
	d := open(t, s)
	want := signUp(t, d, "ada")
	session, err := d.LogIn(t.Context(), creds("ada"), "here")
	if err != nil || session.Account != want {
		t.Fatalf("log in: %+v, %v", session, err)
	}
	assertAbsent(t, s, session.Token, password)
	d = open(t, crash(t, dir))
	if got, err := d.Authenticate(t.Context(), session.Token); got != want || err != nil {
		t.Errorf("session after the crash: %+v, %v", got, err)
	}
	if _, err := d.LogIn(t.Context(), creds("ada"), "here"); err != nil {
		t.Errorf("log in after the crash: %v", err)
	}
	if bob := signUp(t, d, "bob"); bob.Admin {
		t.Error("the second account is an administrator after the crash")
	}
	if err := d.LogOut(t.Context(), session.Token); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{session.Token, "", "nonsense"} {
		if _, err := d.Authenticate(t.Context(), token); !errors.Is(err, api.ErrUnauthorized) {
			t.Errorf("token %q: got %v, want ErrUnauthorized", token, err)
		}
	}
}

func assertAbsent(t *testing.T, s kv.Store, secrets ...string) {
	t.Helper()
	list, err := s.List(t.Context(), "", "", 0)
	if err != nil || len(list) == 0 {
		t.Fatalf("list: %d entries, %v", len(list), err)
	}
	for _, e := range list {
		for _, secret := range secrets {
			if contains(e.Key, secret) || contains(string(e.Value), secret) {
				t.Errorf("the store holds a secret under %s", e.Key)
			}
		}
	}
}

func TestFailedLoginsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := open(t, memory(t))
		signUp(t, d, "ada")
		signUp(t, d, "bob")
		login := func(user, pass, address string) error {
			_, err := d.LogIn(t.Context(), api.Credentials{User: user, Password: pass}, address)
			return err
		}
		wrong, unknown := login("ada", "wrong password", "a"), login("nobody", password, "b")
		if wrong == nil || unknown == nil || wrong.Error() != unknown.Error() || !errors.Is(wrong, api.ErrUnauthorized) {
			t.Fatalf("wrong password and unknown user differ: %v / %v", wrong, unknown)
		}
		for range 9 {
			if err := login("ada", "wrong password", "a"); !errors.Is(err, api.ErrUnauthorized) {
				t.Fatalf("failure: got %v", err)
			}
		}
		for name, err := range map[string]error{
			"right password, other address": login("ada", password, "z"),
			"other account, same address":   login("bob", password, "a"),
		} {
			limited, ok := errors.AsType[*directory.RateLimitError](err)
			if !ok || !errors.Is(err, api.ErrRateLimited) || limited.RetryAfter() != time.Minute {
				t.Errorf("%s: got %v, want to wait a minute", name, err)
			}
		}
		if err := login("bob", password, "z"); err != nil {
			t.Errorf("other account, other address: %v", err)
		}
		time.Sleep(time.Minute)
		if err := login("ada", password, "a"); err != nil {
			t.Errorf("after a minute: %v", err)
		}
	})
}

// Ensure that a login forgives its own account's failures only.
func TestSuccessForgivesItself(t *testing.T) {
	t.Parallel()
	d := open(t, memory(t))
	signUp(t, d, "ada")
	signUp(t, d, "eve")
	login := func(user, pass string) error {
		_, err := d.LogIn(t.Context(), api.Credentials{User: user, Password: pass}, "same")
		return err
	}
	for n := range 10 {
		if err := login("ada", "guessed wrong"); !errors.Is(err, api.ErrUnauthorized) {
			t.Fatalf("guess %d: %v", n, err)
		}
		if n < 9 {
			if err := login("eve", password); err != nil {
				t.Fatalf("own login %d: %v", n, err)
			}
		}
	}
	if err := login("eve", password); !errors.Is(err, api.ErrRateLimited) {
		t.Errorf("after 10 guesses at another account: got %v, want ErrRateLimited", err)
	}
}

// Ensure that concurrent guesses cannot pass the limit together.
func TestConcurrentGuessesAreBounded(t *testing.T) {
	t.Parallel()
	d := open(t, memory(t))
	signUp(t, d, "ada")
	var tried atomic.Int64
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			_, err := d.LogIn(t.Context(), api.Credentials{User: "ada", Password: "guessed wrong"}, "same")
			if errors.Is(err, api.ErrUnauthorized) {
				tried.Add(1)
			}
		})
	}
	wg.Wait()
	if n := tried.Load(); n < 10 || n > 11 {
		t.Errorf("%d guesses were checked, want 10 and at most one more in flight", n)
	}
}

// Ensure that a session lives while it is used and ends after 30 idle days. The
// store is closed meanwhile: its own tickers would make the days long.
func TestSessionsEndWhenIdle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		s := onDisk(t, dir)
		d := open(t, s)
		signUp(t, d, "ada")
		session, err := d.LogIn(t.Context(), creds("ada"), "here")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			idle time.Duration
			want error
		}{{29 * day, nil}, {29 * day, nil}, {30*day + time.Hour, api.ErrUnauthorized}} {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(c.idle)
			s = onDisk(t, dir)
			if _, err := open(t, s).Authenticate(t.Context(), session.Token); !errors.Is(err, c.want) {
				t.Errorf("idle for %v: got %v, want %v", c.idle, err, c.want)
			}
		}
	})
}
