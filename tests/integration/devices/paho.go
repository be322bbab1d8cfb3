// A client on Eclipse Paho's Go library: paho PORT CA|- DOWN UP RUNS [CERTIFICATE KEY]. Each run
// connects, takes the retained message on DOWN, publishes it on UP, and disconnects; all runs share
// one cache of sessions, as a program that reconnects does. With - for the CA nothing is verified.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"os"
	"strconv"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const patience = 20 * time.Second

func settings(ca string, certificate []string) *tls.Config {
	config := &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if ca == "-" {
		config.InsecureSkipVerify = true
	} else {
		text, err := os.ReadFile(ca)
		if err != nil {
			log.Fatal(err)
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(text)
	}
	if len(certificate) == 2 {
		pair, err := tls.LoadX509KeyPair(certificate[0], certificate[1])
		if err != nil {
			log.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func must(token mqtt.Token, what string) {
	if !token.WaitTimeout(patience) {
		log.Fatalf("%s: no answer in time", what)
	}
	if token.Error() != nil {
		log.Fatalf("%s: %v", what, token.Error())
	}
}

func run(options *mqtt.ClientOptions, down, up string) {
	client := mqtt.NewClient(options)
	must(client.Connect(), "connect")
	messages := make(chan []byte, 1)
	must(client.Subscribe(down, 0, func(_ mqtt.Client, message mqtt.Message) {
		messages <- message.Payload()
	}), "subscribe")
	select {
	case payload := <-messages:
		must(client.Publish(up, 1, false, payload), "publish")
	case <-time.After(patience):
		log.Fatal("no message came")
	}
	client.Disconnect(1000)
}

func main() {
	if len(os.Args) != 6 && len(os.Args) != 8 {
		os.Exit(2)
	}
	runs, err := strconv.Atoi(os.Args[5])
	if err != nil {
		log.Fatal(err)
	}
	options := mqtt.NewClientOptions().AddBroker("ssl://localhost:" + os.Args[1]).
		SetClientID("paho-go").SetAutoReconnect(false).SetConnectTimeout(patience).
		SetTLSConfig(settings(os.Args[2], os.Args[6:]))
	for ; runs > 0; runs-- {
		run(options, os.Args[3], os.Args[4])
	}
}
