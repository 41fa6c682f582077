package httpapi

import (
	"net/http"

	"github.com/gorilla/mux"

	"burrow/api"
	"burrow/internal/httpserve"
)

func (h *handler) accountRoutes(r *mux.Router) {
	r.HandleFunc("/v1/accounts", h.signUp).Methods(http.MethodPost)
	r.HandleFunc("/v1/sessions", h.logIn).Methods(http.MethodPost)
	r.HandleFunc("/v1/sessions", h.authed(h.logOut)).Methods(http.MethodDelete)
}

func (h *handler) signUp(w http.ResponseWriter, r *http.Request) {
	var c api.Credentials
	if err := httpserve.Decode(w, r, maxCredentials, &c); err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	account, err := h.dir.SignUp(r.Context(), c)
	answer(w, r, http.StatusCreated, account, err)
}

func (h *handler) logIn(w http.ResponseWriter, r *http.Request) {
	var c api.Credentials
	if err := httpserve.Decode(w, r, maxCredentials, &c); err != nil {
		httpserve.WriteError(w, r, err)
		return
	}
	session, err := h.dir.LogIn(r.Context(), c, remote(r))
	answer(w, r, http.StatusCreated, session, err)
}

func (h *handler) logOut(w http.ResponseWriter, r *http.Request, _ api.Account) {
	answer(w, r, http.StatusNoContent, nil, h.dir.LogOut(r.Context(), httpserve.Bearer(r)))
}
